//! Draws what the bench `scaling` has written: speed-up with the same batch and efficiency with as many times the batch,
//! against workers. A row of panels for each model of training; points are measured, lines are predicted.
//!
//!     cargo bench -p axisgrad --features mpi --bench scaling -- --out "$PWD/target/scaling.jsonl"
//!     cargo run --release --example plot_scaling -- target/scaling.jsonl docs/scaling.svg

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

type Error = Box<dyn std::error::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A row of the bench's tables.
struct Row {
    job: String,
    kind: String,
    workers: f64,
    crowd: f64,
    /// Measured and predicted: speed-up, and efficiency.
    strong: [f64; 2],
    weak: [f64; 2],
}

/// One panel: what it shows of a row, and what that would be if workers cost nothing but the cores that they share.
struct Panel {
    title: &'static str,
    shown: fn(&Row) -> [f64; 2],
    ideal: fn(&Row) -> f64,
}

const PANELS: [Panel; 2] = [
    Panel { title: "same batch: speed-up", shown: |row| row.strong, ideal: |row| row.workers / row.crowd },
    Panel { title: "batch times workers: efficiency", shown: |row| row.weak, ideal: |_| 1.0 },
];

/// The height of the legend.
const LEGEND: u32 = 40;
const CORES: ShapeStyle = ShapeStyle { color: RGBAColor(200, 200, 200, 1.0), filled: false, stroke_width: 3 };
const KINDS: [(&str, RGBColor); 2] = [("threads", RGBColor(40, 90, 170)), ("ranks", RGBColor(200, 110, 40))];

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [rows, picture] = &args[..] else {
        return Err("usage: plot_scaling ROWS.jsonl PICTURE.svg".into());
    };
    let rows = std::fs::read_to_string(rows)?;
    let rows = rows.lines().map(read).collect::<Result<Vec<Row>, Error>>()?;
    draw(picture, &rows)
}

fn read(line: &str) -> Result<Row, Error> {
    let row: Value = serde_json::from_str(line)?;
    let parsed = || {
        let number = |key: &str| row[key].as_f64();
        let pair = |key: &str| Some([row[key]["ratio"].as_f64()?, row[key]["model_ratio"].as_f64()?]);
        Some(Row {
            job: row["job"].as_str()?.to_owned(),
            kind: row["kind"].as_str()?.to_owned(),
            workers: number("workers")?,
            crowd: number("crowd")?,
            strong: pair("strong")?,
            weak: pair("weak")?,
        })
    };
    Ok(parsed().ok_or("this is not what the bench scaling writes with --out")?)
}

fn draw(picture: &str, rows: &[Row]) -> Result<(), Error> {
    let mut jobs: Vec<&str> = Vec::new();
    for row in rows {
        if !jobs.contains(&row.job.as_str()) {
            jobs.push(&row.job);
        }
    }
    let height = 340 * jobs.len() as u32;
    let root = SVGBackend::new(picture, (960, height + LEGEND)).into_drawing_area();
    root.fill(&WHITE)?;
    let (panels, legend) = root.split_vertically(height);
    for (job, area) in jobs.iter().zip(panels.split_evenly((jobs.len(), 1))) {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.job == *job).collect();
        let area = area.margin(12, 0, 0, 0).titled(job, ("sans-serif", 18))?;
        for (panel, area) in PANELS.iter().zip(area.split_evenly((1, PANELS.len()))) {
            draw_panel(panel, &area, &rows)?;
        }
    }
    draw_legend(&legend)?;
    Ok(root.present()?)
}

fn draw_panel(panel: &Panel, area: &Area, rows: &[&Row]) -> Result<(), Error> {
    let values = rows.iter().flat_map(|row| (panel.shown)(row).into_iter().chain([(panel.ideal)(row)]));
    let highest = values.fold(1.0, f64::max);
    let most = rows.iter().map(|row| row.workers).fold(2.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 14))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(44)
        .build_cartesian_2d(1.5..most + 0.5, 0.0..highest * 1.1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("workers")
        .x_labels(most as usize)
        .x_label_formatter(&f64::to_string)
        .draw()?;
    let along = |kind: &str, value: &dyn Fn(&Row) -> f64| -> Vec<(f64, f64)> {
        rows.iter().filter(|row| row.kind == kind).map(|row| (row.workers, value(row))).collect()
    };
    for (kind, _) in KINDS {
        chart.draw_series(LineSeries::new(along(kind, &panel.ideal), CORES))?;
    }
    for (kind, colour) in KINDS {
        let [measured, model] = [0, 1].map(|which| along(kind, &|row| (panel.shown)(row)[which]));
        chart.draw_series(LineSeries::new(model, colour.stroke_width(2)))?;
        chart.draw_series(measured.into_iter().map(|at| Circle::new(at, 4, colour.filled())))?;
    }
    Ok(())
}

fn draw_legend(area: &Area) -> Result<(), Error> {
    let beside = Pos::new(HPos::Left, VPos::Center);
    let style = ("sans-serif", 13).into_font().into_text_style(area).pos(beside);
    let y = LEGEND as i32 / 2;
    let mut left = 60;
    for (kind, colour) in KINDS {
        area.draw(&Circle::new((left + 10, y), 4, colour.filled()))?;
        area.draw_text(&format!("{kind}, measured"), &style, (left + 28, y))?;
        area.draw(&PathElement::new([(left + 160, y), (left + 180, y)], colour.stroke_width(2)))?;
        area.draw_text(&format!("{kind}, model"), &style, (left + 188, y))?;
        left += 320;
    }
    area.draw(&PathElement::new([(left, y), (left + 20, y)], CORES))?;
    Ok(area.draw_text("what the cores allow", &style, (left + 28, y))?)
}
