//! Draws how a stored run of `scripts/bench --peers` compares with its goals: one bar for each, an SVG.
//!
//!     cargo run --release --example plot_ratios -- run.json ratios.svg

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;

type Error = Box<dyn std::error::Error>;

/// A goal: what it is about, how many times better we are than the best of others, and how many times we want to be.
struct Bar {
    name: String,
    ratio: f64,
    goal: f64,
}

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [run, picture] = &args[..] else {
        return Err("usage: plot_ratios RUN.json PICTURE.svg".into());
    };
    let run: Value = serde_json::from_str(&std::fs::read_to_string(run)?)?;
    let bars = bars(&run).ok_or("this is not what scripts/bench --peers --out writes")?;
    draw(picture, run["machine"].as_str().unwrap_or_default(), &bars)
}

fn bars(run: &Value) -> Option<Vec<Bar>> {
    let mut bars = Vec::new();
    for (workload, entry) in run["workloads"].as_object()? {
        for goal in entry["goals"].as_array()? {
            let text = |key: &str| goal[key].as_str();
            let memory = if text("figure")? == "peak_mb" { ", memory" } else { "" };
            let ours = text("side")?.trim_start_matches("axisgrad");
            let name = format!("{workload}{ours}{memory} / {}", text("best")?);
            bars.push(Bar { name, ratio: goal["ratio"].as_f64()?, goal: goal["goal"].as_f64()? });
        }
    }
    Some(bars)
}

/// Horizontal bars on a scale of powers, with a line where each goal is.
fn draw(picture: &str, machine: &str, bars: &[Bar]) -> Result<(), Error> {
    const ROW: u32 = 20;
    let highest = bars.iter().map(|bar| bar.ratio.max(bar.goal)).fold(2.0, f64::max) * 1.3;
    let root = SVGBackend::new(picture, (960, 110 + ROW * bars.len() as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("times the best of others ({machine})"), ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(340)
        .build_cartesian_2d((0.1..highest).log_scale(), 0.0..bars.len() as f64)?;
    chart.configure_mesh().disable_y_mesh().y_labels(0).light_line_style(TRANSPARENT).draw()?;
    let beside = Pos::new(HPos::Right, VPos::Center);
    let style = ("sans-serif", 13).into_font().into_text_style(&root).pos(beside);
    for (i, bar) in bars.iter().enumerate() {
        let (low, high) = ((bars.len() - i) as f64 - 0.85, (bars.len() - i) as f64 - 0.15);
        let colour = if bar.ratio >= bar.goal { RGBColor(70, 140, 90) } else { RGBColor(200, 130, 60) };
        chart.draw_series([Rectangle::new([(0.1, low), (bar.ratio.max(0.1), high)], colour.filled())])?;
        chart.draw_series([PathElement::new([(bar.goal, low), (bar.goal, high)], BLACK.stroke_width(2))])?;
        let at = chart.backend_coord(&(0.1, (low + high) / 2.0));
        root.draw_text(&bar.name, &style, (at.0 - 8, at.1))?;
    }
    Ok(root.present()?)
}
