//! Pictures of a run, as SVG: throughput by size, the distribution of round trips, many producers and consumers.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::cases::{Case, Entry};
use crate::results::{Results, median};

type Failure = Box<dyn std::error::Error>;
type Points = Vec<(f64, f64)>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 860;
const FONT: &str = "sans-serif";
const OURS: RGBColor = RGBColor(38, 114, 176);
const OTHERS: RGBColor = RGBColor(190, 190, 190);

/// Draws what this run has the samples for.
pub fn draw(dir: &Path, cases: &[Case], results: &Results) -> Result<(), Failure> {
    let those = |prefix: &str| cases.iter().filter(|case| case.id.starts_with(prefix)).collect::<Vec<_>>();
    let streams = those("stream/");
    if !streams.is_empty() {
        throughput(&dir.join("throughput.svg"), &streams, results)?;
    }
    if let [case] = those("distribution/")[..] {
        distribution(&dir.join("round-trip.svg"), case, results)?;
    }
    let many = those("many/");
    if !many.is_empty() {
        scaling(&dir.join("scaling.svg"), &many, results)?;
    }
    Ok(())
}

fn nanos(results: &Results, case: &Case, entry: &Entry) -> Option<f64> {
    results.median(&case.id, &entry.label, |sample| sample.nanos)
}

/// A power of ten at or below, and one at or above.
fn decades(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().fold(f64::INFINITY, f64::min).max(1e-3).log10().floor();
    let high = values.fold(f64::MIN_POSITIVE, f64::max).log10().ceil();
    (10f64.powf(low), 10f64.powf(high.max(low + 1.0)))
}

/// A panel of bars for each size, the fastest on top.
fn throughput(file: &Path, cases: &[&Case], results: &Results) -> Result<(), Failure> {
    let bars = cases.iter().map(|case| case.entries.len() as u32).max().unwrap_or(0);
    let height = (bars * 20 + 70) * cases.len() as u32;
    let root = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, case) in root.split_evenly((cases.len(), 1)).iter().zip(cases) {
        panel(area, case, results)?;
    }
    Ok(root.present()?)
}

fn panel(area: &Area<'_>, case: &Case, results: &Results) -> Result<(), Failure> {
    let rate = |entry: &Entry| nanos(results, case, entry).map(|nanos| 1e9 / nanos);
    let mut bars: Vec<(f64, &Entry)> =
        case.entries.iter().filter_map(|entry| Some((rate(entry)?, entry))).collect();
    bars.sort_by(|a, b| a.0.total_cmp(&b.0));
    // From a decade below the slowest: its bar has a length, too.
    let (low, high) = decades(bars.iter().map(|(rate, _)| *rate));
    let low = low / 10.0;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{}: messages a second", case.title), (FONT, 16))
        .margin(8)
        .margin_right(30)
        .x_label_area_size(24)
        .build_cartesian_2d((low..high).log_scale(), 0.0..bars.len().max(1) as f64)?;
    chart.configure_mesh().disable_y_mesh().disable_y_axis().x_label_formatter(&|x| count(*x)).draw()?;
    for (row, (rate, entry)) in bars.iter().enumerate() {
        let (bottom, top) = (row as f64 + 0.1, row as f64 + 0.9);
        let ours = entry.spec.rival.is_ours();
        let color = if ours { OURS } else { OTHERS };
        let ink = if ours { WHITE } else { BLACK };
        chart.draw_series([Rectangle::new([(low, bottom), (*rate, top)], color.filled())])?;
        let text = format!("  {}: {}", entry.label, count(*rate));
        chart.draw_series([Text::new(text, (low, top - 0.15), (FONT, 13).into_font().color(&ink))])?;
    }
    Ok(())
}

/// Colors that a white page does not swallow, ours first.
const COLORS: [RGBColor; 9] = [
    OURS,
    RGBColor(214, 96, 36),
    RGBColor(90, 90, 90),
    RGBColor(44, 140, 60),
    RGBColor(148, 80, 170),
    RGBColor(180, 50, 60),
    RGBColor(20, 150, 160),
    RGBColor(160, 130, 20),
    RGBColor(0, 0, 0),
];

/// The line of an entry.
fn style(index: usize, ours: bool) -> ShapeStyle {
    COLORS[index % COLORS.len()].stroke_width(if ours { 3 } else { 1 })
}

/// Room for the names of the lines, right of them.
const NAMES: i32 = 200;

/// Writes the names of the lines there, each beside a piece of its line.
fn names<'a>(area: &Area<'_>, lines: impl Iterator<Item = (&'a str, ShapeStyle)>) -> Result<(), Failure> {
    for ((name, style), row) in lines.zip(0..) {
        let (x, y) = (WIDTH as i32 - NAMES + 12, 40 + 18 * row);
        area.draw(&PathElement::new([(x, y), (x + 18, y)], style))?;
        area.draw(&Text::new(name, (x + 24, y - 7), (FONT, 12)))?;
    }
    Ok(())
}

/// How far the slowest round trips are from the others: each further nine has as much room.
fn distribution(file: &Path, case: &Case, results: &Results) -> Result<(), Failure> {
    let lines: Vec<(String, bool, Points)> = case
        .entries
        .iter()
        .map(|entry| (entry.label.clone(), entry.spec.rival.is_ours(), percentiles(results, case, entry)))
        .filter(|(_, _, points)| !points.is_empty())
        .collect();
    let values = lines.iter().flat_map(|(_, _, points)| points.iter().map(|(_, nanos)| *nanos));
    let (low, high) = decades(values);
    let root = SVGBackend::new(file, (WIDTH, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("{}: ns, by the part of all that took at most so long", case.title), (FONT, 16))
        .margin(10)
        .margin_right(NAMES)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..4.2, (low..high).log_scale())?;
    let nines = |x: &f64| format!("{} %", 100.0 - 100.0 * 10f64.powf(-x.round()));
    chart
        .configure_mesh()
        .x_labels(5)
        .x_label_formatter(&nines)
        .y_label_formatter(&|y| count(*y))
        .light_line_style(WHITE)
        .draw()?;
    for (index, (_, ours, points)) in lines.iter().enumerate() {
        chart.draw_series(LineSeries::new(points.iter().copied(), style(index, *ours)))?;
    }
    names(&root, lines.iter().enumerate().map(|(i, (label, ours, _))| (label.as_str(), style(i, *ours))))?;
    Ok(root.present()?)
}

/// Nines and nanoseconds, each the median over the rounds.
fn percentiles(results: &Results, case: &Case, entry: &Entry) -> Points {
    let samples = || results.of(&case.id, &entry.label).iter().flatten();
    let parts = samples().next().map_or(0, |sample| sample.distribution.len());
    let point = |index: usize| {
        let at = |sample: &crate::sample::Sample| sample.distribution.get(index).copied();
        let part = samples().find_map(at)?[0];
        let nanos = median(samples().filter_map(at).map(|[_, nanos]| nanos))?;
        // The longest of all is one interruption or another.
        (part < 1.0).then(|| (-(1.0 - part).log10(), nanos))
    };
    (0..parts).filter_map(point).collect()
}

/// Time per message by the number of producers and consumers.
fn scaling(file: &Path, cases: &[&Case], results: &Results) -> Result<(), Failure> {
    let mut lines: Vec<(&Entry, Points)> = Vec::new();
    for case in cases {
        for entry in &case.entries {
            let Some(nanos) = nanos(results, case, entry) else { continue };
            let point = (entry.spec.producers as f64, nanos);
            match lines.iter_mut().find(|(other, _)| other.label == entry.label) {
                Some((_, points)) => points.push(point),
                None => lines.push((entry, vec![point])),
            }
        }
    }
    let points = || lines.iter().flat_map(|(_, points)| points.iter().copied());
    let most = points().map(|(_, nanos)| nanos).fold(0.0, f64::max);
    let widest = points().map(|(pairs, _)| pairs).fold(1.0, f64::max);
    let root = SVGBackend::new(file, (WIDTH, 360)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Throughput of so many producers and as many consumers, 8 B: ns a message", (FONT, 16))
        .margin(10)
        .margin_right(NAMES)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d((0.9..widest * 1.1).log_scale().base(2.0), 0.0..most * 1.2)?;
    chart
        .configure_mesh()
        .x_label_formatter(&|x| count(*x))
        .y_label_formatter(&|y| count(*y))
        .light_line_style(WHITE)
        .draw()?;
    let style = |index, entry: &Entry| style(index, entry.spec.rival.is_ours());
    for (index, (entry, points)) in lines.iter().enumerate() {
        let style = style(index, entry);
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, style.filled())))?;
        chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
    }
    names(&root, lines.iter().enumerate().map(|(i, (entry, _))| (entry.label.as_str(), style(i, entry))))?;
    Ok(root.present()?)
}

/// A number in few characters.
fn count(number: f64) -> String {
    let (scaled, unit) = match number {
        1e9.. => (number / 1e9, "G"),
        1e6.. => (number / 1e6, "M"),
        1e3.. => (number / 1e3, "k"),
        _ => (number, ""),
    };
    if scaled >= 99.5 || scaled.fract() == 0.0 {
        format!("{scaled:.0}{unit}")
    } else {
        format!("{scaled:.1}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_powers_of_ten() {
        assert_eq!(decades([25.0, 700.0].into_iter()), (10.0, 1000.0));
        assert_eq!(decades([10.0].into_iter()), (10.0, 100.0));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([1.0, 2.5, 1000.0, 35_700_000.0, 123e6].map(count), ["1", "2.5", "1k", "35.7M", "123M"]);
    }
}
