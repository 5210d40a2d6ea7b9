//! Draws curves that training runs have written with `--curve` into one picture, an SVG.
//!
//!     cargo run --release --example plot_curves -- loss.svg "loss of digits" run.csv interrupted-*.csv

use std::path::Path;

use plotters::prelude::*;

type Error = Box<dyn std::error::Error>;
type Curve = (String, Vec<(f64, f64)>);

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [picture, title, files @ ..] = &args[..] else {
        return Err("usage: plot_curves PICTURE.svg TITLE CURVE.csv...".into());
    };
    let curves = files.iter().map(|file| read(Path::new(file))).collect::<Result<Vec<Curve>, Error>>()?;
    draw(picture, title, &curves)
}

fn read(file: &Path) -> Result<Curve, Error> {
    let point = |line: &str| {
        let (step, value) = line.split_once(',')?;
        Some((step.parse().ok()?, value.parse().ok()?))
    };
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok((name, std::fs::read_to_string(file)?.lines().filter_map(point).collect()))
}

/// The first curve as a broad grey line, the others on it, each in a colour of its own.
fn draw(picture: &str, title: &str, curves: &[Curve]) -> Result<(), Error> {
    let points = || curves.iter().flat_map(|(_, points)| points);
    let last = points().map(|(step, _)| *step).fold(1.0, f64::max);
    let (least, most) =
        points().map(|(_, y)| *y).fold((f64::INFINITY, 1e-9f64), |(a, b), y| (a.min(y), b.max(y)));
    let root = SVGBackend::new(picture, (960, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..last, (least.max(1e-9)..most).log_scale())?;
    chart.configure_mesh().x_desc("step").y_desc("loss").light_line_style(TRANSPARENT).draw()?;
    for (i, (name, points)) in curves.iter().enumerate() {
        let style = match i {
            0 => ShapeStyle::from(RGBColor(200, 200, 200)).stroke_width(7),
            _ => Palette99::pick(i).filled().stroke_width(1),
        };
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.9)).border_style(BLACK.mix(0.3)).draw()?;
    Ok(root.present()?)
}
