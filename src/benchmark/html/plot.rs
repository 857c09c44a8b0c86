//! Plots as inline SVG. Lines differ in colour (Okabe and Ito's, which the colour-blind tell apart), in
//! dashes and in marks, so that they hold in black and white.

use std::fmt::Write as _;

use super::super::statistics::count;
use super::super::text::figure;
use crate::tables::text::markup as escape;

/// Size of a plot, and what is left free around the area of the lines: left, right, top, bottom.
const SIZE: (f64, f64) = (520.0, 320.0);
const MARGIN: (f64, f64, f64, f64) = (62.0, 16.0, 14.0, 66.0);
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#aa4499", "#555"];
const DASHES: [&str; 5] = ["", "7 3", "2 3", "9 3 2 3", "4 4"];
/// Ticks on an axis that is not logarithmic, about.
const TICKS: f64 = 5.0;

/// A plot.
#[derive(Debug)]
pub(super) struct Plot {
    /// What it shows, for those who hear it read.
    pub(super) label: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) lines: Vec<Line>,
    /// Places that are marked with a line through the plot.
    pub(super) marks: Vec<Mark>,
}

/// An axis.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) title: String,
    pub(super) is_log: bool,
    /// Whether it begins at 0; not of a logarithmic one.
    pub(super) from_zero: bool,
}

/// A line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<Point>,
}

/// A point of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Drawn as a ring.
    pub(super) is_hollow: bool,
}

/// A place that is marked.
#[derive(Debug)]
pub(super) enum Mark {
    /// On the x axis.
    X(f64, String),
    /// On the y axis.
    Y(f64, String),
}

/// From values to places.
struct Scale {
    from: f64,
    to: f64,
    is_log: bool,
    /// Places of `from` and `to`.
    places: (f64, f64),
}

impl Plot {
    /// The plot; a sentence where there is nothing to draw.
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let some = points().any(|point| point.x.is_finite() && point.y.is_finite());
        if !some {
            return "<p class=\"none\">没有可画的数 nothing to draw</p>".to_owned();
        }
        let (width, height) = SIZE;
        let (left, right, top, bottom) = MARGIN;
        let of_y = self.marks.iter().filter_map(|mark| match mark {
            Mark::Y(value, _) => Some(*value),
            Mark::X(..) => None,
        });
        let x = Scale::new(&self.x, points().map(|p| p.x), (left, width - right));
        let y = Scale::new(&self.y, points().map(|p| p.y).chain(of_y), (height - bottom, top));
        let mut svg = String::new();
        let _ = write!(
            svg,
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">",
            escape(&self.label)
        );
        grid(&mut svg, (&x, &y), (&self.x.title, &self.y.title));
        for mark in &self.marks {
            draw_mark(&mut svg, (&x, &y), mark);
        }
        for (place, line) in self.lines.iter().enumerate() {
            draw_line(&mut svg, (&x, &y), line, place);
        }
        self.legend(&mut svg);
        svg.push_str("</svg>");
        svg
    }

    fn legend(&self, svg: &mut String) {
        let mut at = MARGIN.0;
        let y = SIZE.1 - 10.0;
        for (place, line) in self.lines.iter().enumerate() {
            let (colour, dash) = look(place);
            let _ = write!(
                svg,
                "<line x1=\"{at:.0}\" x2=\"{:.0}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" \
                 stroke-width=\"2\" stroke-dasharray=\"{dash}\"/><text x=\"{:.0}\" y=\"{}\">{}</text>",
                at + 24.0,
                at + 29.0,
                y + 4.0,
                escape(&line.name)
            );
            at += 44.0 + 6.4 * count(super::super::text::width(&line.name));
        }
    }
}

impl Scale {
    fn new(axis: &Axis, values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let usable = |value: &f64| value.is_finite() && (!axis.is_log || *value > 0.0);
        let (mut from, mut to) = (f64::MAX, f64::MIN);
        for value in values.filter(usable) {
            (from, to) = (from.min(value), to.max(value));
        }
        if from > to {
            (from, to) = (1.0, 2.0);
        }
        if axis.is_log {
            (from, to) = (from / 1.15, to * 1.15);
            // At least half a decade, so that there is a tick or two.
            if to / from < 3.2 {
                let middle = (from * to).sqrt();
                (from, to) = (middle / 1.8, middle * 1.8);
            }
        } else {
            if axis.from_zero {
                from = 0.0;
            }
            to += (to - from).max(1e-9) * 0.05;
            if to - from < 1e-8 {
                to = from + 1.0;
            }
        }
        Self { from, to, is_log: axis.is_log, places }
    }

    fn at(&self, value: f64) -> f64 {
        let part = if self.is_log {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        self.places.0 + part * (self.places.1 - self.places.0)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.is_log {
            let mut all = Vec::new();
            let mut decade = 10_f64.powf(self.from.log10().floor());
            while decade <= self.to {
                let parts = if self.to / self.from > 400.0 { &[1.0][..] } else { &[1.0, 2.0, 5.0] };
                all.extend(parts.iter().map(|part| decade * part));
                decade *= 10.0;
            }
            all.retain(|tick| (self.from..=self.to).contains(tick));
            return all;
        }
        let rough = (self.to - self.from) / TICKS;
        let power = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|part| part * power);
        let step = steps.into_iter().find(|step| *step >= rough).unwrap_or(power * 10.0);
        let mut tick = (self.from / step).ceil() * step;
        let mut all = Vec::new();
        while tick <= self.to {
            all.push(tick);
            tick += step;
        }
        all
    }
}

fn look(place: usize) -> (&'static str, &'static str) {
    let at = place % COLOURS.len();
    let colour = COLOURS.get(at).copied().unwrap_or("#000");
    (colour, DASHES.get(at).copied().unwrap_or_default())
}

fn grid(svg: &mut String, (x, y): (&Scale, &Scale), (x_title, y_title): (&str, &str)) {
    let ((left, right), (bottom, top)) = (x.places, y.places);
    for tick in x.ticks() {
        let at = x.at(tick);
        let _ = write!(
            svg,
            "<line class=\"g\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 15.0,
            figure(tick)
        );
    }
    for tick in y.ticks() {
        let at = y.at(tick);
        let _ = write!(
            svg,
            "<line class=\"g\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 5.0,
            at + 4.0,
            figure(tick)
        );
    }
    let _ = write!(
        svg,
        "<path class=\"a\" d=\"M{left} {top}V{bottom}H{right}\"/>\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>\
         <text transform=\"translate(13 {:.0}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        f64::midpoint(left, right),
        bottom + 32.0,
        escape(x_title),
        f64::midpoint(top, bottom),
        escape(y_title)
    );
}

fn draw_mark(svg: &mut String, (x, y): (&Scale, &Scale), mark: &Mark) {
    let ((left, right), (bottom, top)) = (x.places, y.places);
    match mark {
        Mark::X(value, label) => {
            let at = x.at(*value);
            // On the side that has more room.
            let (anchor, apart) =
                if at > f64::midpoint(left, right) { ("end", -4.0) } else { ("start", 4.0) };
            let _ = write!(
                svg,
                "<line class=\"m\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>\
                 <text class=\"b\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                at + apart,
                top + 10.0,
                escape(label)
            );
        }
        Mark::Y(value, label) => {
            let at = y.at(*value);
            let _ = write!(
                svg,
                "<line class=\"m\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"b\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                left + 4.0,
                at - 4.0,
                escape(label)
            );
        }
    }
}

fn draw_line(svg: &mut String, (x, y): (&Scale, &Scale), line: &Line, place: usize) {
    let (colour, dash) = look(place);
    let mut path = String::new();
    for point in &line.points {
        let way = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{way}{:.1} {:.1}", x.at(point.x), y.at(point.y));
    }
    let _ = write!(
        svg,
        "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
         stroke-dasharray=\"{dash}\"/>"
    );
    for point in &line.points {
        let fill = if point.is_hollow { "#fff" } else { colour };
        let _ = write!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{fill}\" stroke=\"{colour}\" \
             stroke-width=\"1.5\"><title>{}: {}</title></circle>",
            x.at(point.x),
            y.at(point.y),
            figure(point.x),
            figure(point.y)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(is_log: bool) -> Axis {
        Axis { title: "<t>".to_owned(), is_log, from_zero: !is_log }
    }

    fn plot(points: &[(f64, f64)]) -> Plot {
        let points = points.iter().map(|&(x, y)| Point { x, y, is_hollow: y > 50.0 });
        Plot {
            label: "a \"plot\"".to_owned(),
            x: axis(false),
            y: axis(true),
            lines: vec![Line { name: "p50 & co".to_owned(), points: points.collect() }],
            marks: vec![Mark::X(20.0, "knee".to_owned()), Mark::Y(100.0, "bound".to_owned())],
        }
    }

    #[test]
    fn places_follow_the_axes() {
        let linear = Scale::new(&axis(false), [10.0, 100.0].into_iter(), (0.0, 100.0));
        assert!((linear.from - 0.0).abs() < 1e-9 && linear.to > 100.0);
        assert!((linear.at(linear.to / 2.0) - 50.0).abs() < 1e-9);
        assert_eq!(linear.ticks().first().copied(), Some(0.0));
        let log = Scale::new(&axis(true), [1.0, 10_000.0].into_iter(), (300.0, 0.0));
        assert!((log.at(100.0) - 150.0).abs() < 1e-6);
        assert_eq!(log.ticks().len(), 5, "{:?}", log.ticks());
        let narrow = Scale::new(&axis(true), [7.0, 7.0].into_iter(), (0.0, 1.0));
        assert!(!narrow.ticks().is_empty());
    }

    #[test]
    fn a_plot_is_well_formed_and_text_in_it_is_harmless() {
        let svg = plot(&[(10.0, 5.0), (40.0, 80.0)]).svg();
        roxmltree::Document::parse(&svg).unwrap();
        assert!(svg.contains("p50 &amp; co") && svg.contains("&lt;t&gt;"));
        assert_eq!(svg.matches("fill=\"#fff\"").count(), 1, "one point is hollow");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn without_points_it_says_so() {
        assert!(plot(&[]).svg().contains("nothing to draw"));
        let one = plot(&[(0.0, 0.0)]).svg();
        assert!(!one.contains("NaN") && !one.contains("inf"), "{one}");
    }
}
