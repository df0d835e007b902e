//! Who can get what: issuer, principal kind, audience, key tier, as Mermaid or SVG.
//!
//! An edge from a kind to an audience is a `permit` whose scope matches; its conditions are not looked at.

use crate::junit::escaped;
use std::collections::BTreeMap;
use std::fmt::Write;
use vouchsafe_policy::{Bundle, Tier};

/// What there is to draw, in the order in which it is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Names of issuers, each with its URL and the type of its principals.
    pub issuers: Vec<(String, String, String)>,
    /// Ids of audiences, each with its tier and algorithm.
    pub audiences: Vec<(String, String)>,
    /// Indices of issuer and audience with the rules between them.
    pub edges: Vec<(usize, usize, Vec<String>)>,
    /// Tiers with their algorithms, without doubles.
    pub tiers: Vec<String>,
}

impl Graph {
    pub fn of(bundle: &Bundle) -> Self {
        let issuers: Vec<(String, String, String)> = bundle
            .issuers_of_all_environments()
            .map(|issuer| {
                (
                    issuer.name.clone(),
                    issuer.issuer.clone(),
                    issuer.entity_type(),
                )
            })
            .collect();
        let audiences: Vec<(String, String)> = bundle
            .audiences()
            .map(|audience| {
                let tier = match audience.tier {
                    Tier::Delegated => "epoch keys",
                    Tier::Hsm => "HSM",
                };
                (
                    audience.id.clone(),
                    format!("{tier}, {}", audience.algorithm),
                )
            })
            .collect();
        let edges = bundle
            .access()
            .into_iter()
            .filter_map(|((issuer, audience), rules)| {
                let issuer = issuers.iter().position(|(name, _, _)| name == &issuer)?;
                let audience = audiences.iter().position(|(id, _)| id == &audience)?;
                Some((issuer, audience, rules))
            });
        let edges = edges.collect();
        let mut tiers: Vec<String> = audiences.iter().map(|(_, tier)| tier.clone()).collect();
        tiers.sort_unstable();
        tiers.dedup();
        Self {
            issuers,
            audiences,
            edges,
            tiers,
        }
    }

    fn tier_of(&self, audience: &str) -> usize {
        let tier = self.tiers.iter().position(|tier| tier == audience);
        tier.unwrap_or_default()
    }

    /// A flowchart of Mermaid's.
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        // Writing to a String cannot fail.
        for (at, (name, url, kind)) in self.issuers.iter().enumerate() {
            let (name, url) = (quoted(name), quoted(url));
            let _ = writeln!(
                text,
                "  i{at}[\"issuer {name}<br/>{url}\"] --> k{at}([\"{kind}\"])"
            );
        }
        for (at, (id, _)) in self.audiences.iter().enumerate() {
            let _ = writeln!(text, "  a{at}[\"{}\"]", quoted(id));
        }
        for (issuer, audience, rules) in &self.edges {
            let _ = writeln!(
                text,
                "  k{issuer} -- \"{}\" --> a{audience}",
                rules.join("<br/>")
            );
        }
        for (at, tier) in self.tiers.iter().enumerate() {
            let _ = writeln!(text, "  t{at}[(\"{tier}\")]");
        }
        for (at, (_, tier)) in self.audiences.iter().enumerate() {
            let _ = writeln!(text, "  a{at} --> t{}", self.tier_of(tier));
        }
        text
    }

    /// A drawing with one column each for issuers, kinds, audiences and tiers.
    pub fn svg(&self) -> String {
        let rows = self
            .issuers
            .len()
            .max(self.audiences.len())
            .max(self.tiers.len());
        let mut drawing = Drawing::new(rows);
        for (at, (name, url, kind)) in self.issuers.iter().enumerate() {
            drawing.cell(0, at, &format!("issuer {name}"), url);
            drawing.cell(1, at, kind, &format!("in Issuer::\"{name}\""));
            drawing.line((0, at), (1, at), "");
        }
        for (at, (id, tier)) in self.audiences.iter().enumerate() {
            let by = self.edges.iter().filter(|(_, audience, _)| *audience == at);
            let reached = match by.count() {
                0 => "nobody",
                _ => "audience",
            };
            drawing.cell(2, at, id, reached);
            drawing.line((2, at), (3, self.tier_of(tier)), "");
        }
        for (at, tier) in self.tiers.iter().enumerate() {
            drawing.cell(3, at, tier, "signs");
        }
        for (issuer, audience, rules) in &self.edges {
            drawing.line((1, *issuer), (2, *audience), &rules.join(", "));
        }
        drawing.finish()
    }
}

/// `text` within the quotes of Mermaid's labels.
fn quoted(text: &str) -> String {
    text.replace('"', "#quot;")
}

const CELL_WIDTH: usize = 260;
const CELL_HEIGHT: usize = 44;
const COLUMN_WIDTH: usize = 400;
const ROW_HEIGHT: usize = 72;
const MARGIN: usize = 20;
/// Longest text of a cell; the whole is in its title.
const TEXT_CHARACTERS_MAX: usize = 36;

/// Cells in a grid and lines between them.
struct Drawing {
    lines: String,
    cells: String,
    width: usize,
    height: usize,
    /// Rules that are already written between two columns, so that labels do not lie on each other.
    labels: BTreeMap<usize, usize>,
}

impl Drawing {
    fn new(rows: usize) -> Self {
        let margins = 2 * MARGIN;
        Self {
            lines: String::new(),
            cells: String::new(),
            width: (3 * COLUMN_WIDTH + CELL_WIDTH).saturating_add(margins),
            height: rows
                .max(1)
                .saturating_mul(ROW_HEIGHT)
                .saturating_add(margins),
            labels: BTreeMap::new(),
        }
    }

    /// The upper left corner of a cell.
    fn corner(column: usize, row: usize) -> (usize, usize) {
        let x = column.saturating_mul(COLUMN_WIDTH).saturating_add(MARGIN);
        let y = row.saturating_mul(ROW_HEIGHT).saturating_add(MARGIN);
        (x, y)
    }

    fn cell(&mut self, column: usize, row: usize, title: &str, below: &str) {
        let (x, y) = Self::corner(column, row);
        let middle = x.saturating_add(CELL_WIDTH / 2);
        let (upper, lower) = (y.saturating_add(18), y.saturating_add(35));
        let _ = writeln!(
            self.cells,
            "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{CELL_WIDTH}\" height=\"{CELL_HEIGHT}\" \
             rx=\"6\"/><text x=\"{middle}\" y=\"{upper}\">{}</text><text x=\"{middle}\" y=\"{lower}\" \
             class=\"s\">{}</text></g>",
            escaped(&format!("{title} {below}")),
            escaped(&shortened(title)),
            escaped(&shortened(below)),
        );
    }

    fn line(&mut self, from: (usize, usize), to: (usize, usize), label: &str) {
        let ((x1, y1), (x2, y2)) = (Self::corner(from.0, from.1), Self::corner(to.0, to.1));
        let (x1, y1) = (
            x1.saturating_add(CELL_WIDTH),
            y1.saturating_add(CELL_HEIGHT / 2),
        );
        let y2 = y2.saturating_add(CELL_HEIGHT / 2);
        let bend = COLUMN_WIDTH.saturating_sub(CELL_WIDTH) / 2;
        let (c1, c2) = (x1.saturating_add(bend), x2.saturating_sub(bend));
        let title = match label {
            "" => String::new(),
            label => format!("<title>{}</title>", escaped(label)),
        };
        let _ = writeln!(
            self.lines,
            "<path d=\"M{x1} {y1}C{c1} {y1} {c2} {y2} {x2} {y2}\">{title}</path>"
        );
        if !label.is_empty() {
            // Near the end that the line shares with the fewest others.
            let used = self.labels.entry(from.1).or_default();
            let y = y1.saturating_add(used.saturating_mul(12)).saturating_sub(4);
            *used = used.saturating_add(1);
            let x = x1.saturating_add(6);
            let _ = writeln!(
                self.lines,
                "<text x=\"{x}\" y=\"{y}\" class=\"l\">{}</text>",
                escaped(&shortened(label))
            );
        }
    }

    fn finish(self) -> String {
        let Self {
            lines,
            cells,
            width,
            height,
            ..
        } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-label=\"who can get what\">\n<style>\
             rect{{fill:#fff;stroke:#555}}path{{fill:none;stroke:#888}}\
             text{{font:13px sans-serif;text-anchor:middle;fill:#111}}\
             .s{{font-size:11px;fill:#666}}.l{{font-size:10px;fill:#444;text-anchor:start}}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" style=\"stroke:none\"/>\n{lines}{cells}</svg>\n"
        )
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
