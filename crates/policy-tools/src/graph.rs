//! Who can get what: issuers, principal types, audiences and key tiers, as Mermaid or SVG.
//!
//! An edge from a principal type to an audience is a `permit` whose scope matches. Conditions are ignored.

use crate::access::access;
use crate::xml::escaped;
use std::fmt::Write;
use vouchsafe_policy::{Bundle, Tier};

/// The nodes and edges, in the order in which they are drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Names of issuers, each with its URL and the type of its principals.
    pub issuers: Vec<(String, String, String)>,
    /// Ids of audiences, each with its tier and algorithm.
    pub audiences: Vec<(String, String)>,
    /// Indices of an issuer and an audience, with the policies between them.
    pub edges: Vec<(usize, usize, Vec<String>)>,
    /// Tiers with their algorithms, without duplicates.
    pub tiers: Vec<String>,
}

impl Graph {
    pub fn of(bundle: &Bundle) -> Self {
        let issuers: Vec<(String, String, String)> = bundle
            .issuers_of_all_environments()
            .map(|issuer| (issuer.name.clone(), issuer.issuer.clone(), issuer.entity_type()))
            .collect();
        let audiences: Vec<(String, String)> = bundle
            .audiences()
            .map(|audience| {
                let tier = match audience.tier {
                    Tier::Delegated => "epoch keys",
                    Tier::Hsm => "HSM",
                };
                (audience.id.clone(), format!("{tier}, {}", audience.algorithm))
            })
            .collect();
        let edges = access(bundle).into_iter().filter_map(|((issuer, audience), policies)| {
            let issuer = issuers.iter().position(|(name, _, _)| name == &issuer)?;
            let audience = audiences.iter().position(|(id, _)| id == &audience)?;
            Some((issuer, audience, policies))
        });
        let edges = edges.collect();
        let mut tiers: Vec<String> = audiences.iter().map(|(_, tier)| tier.clone()).collect();
        tiers.sort_unstable();
        tiers.dedup();
        Self { issuers, audiences, edges, tiers }
    }

    fn tier_of(&self, audience: &str) -> usize {
        let tier = self.tiers.iter().position(|tier| tier == audience);
        tier.unwrap_or_default()
    }

    /// The graph as a Mermaid flowchart.
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        // Writing to a String cannot fail.
        for (at, (name, url, kind)) in self.issuers.iter().enumerate() {
            let (name, url) = (quoted(name), quoted(url));
            let _ = writeln!(text, "  i{at}[\"issuer {name}<br/>{url}\"] --> k{at}([\"{kind}\"])");
        }
        for (at, (id, _)) in self.audiences.iter().enumerate() {
            let _ = writeln!(text, "  a{at}[\"{}\"]", quoted(id));
        }
        for (issuer, audience, policies) in &self.edges {
            let _ = writeln!(text, "  k{issuer} -- \"{}\" --> a{audience}", policies.join("<br/>"));
        }
        for (at, tier) in self.tiers.iter().enumerate() {
            let _ = writeln!(text, "  t{at}[(\"{tier}\")]");
        }
        for (at, (_, tier)) in self.audiences.iter().enumerate() {
            let _ = writeln!(text, "  a{at} --> t{}", self.tier_of(tier));
        }
        text
    }

    /// The graph as SVG, with one column each for issuers, principal types, policies, audiences and tiers. Each pair of
    /// type and audience has its own row next to the type, so that no text overlaps other text or a line.
    pub fn svg(&self) -> String {
        let mut drawing = Drawing::default();
        let mut row = 0_usize;
        for (at, (name, url, kind)) in self.issuers.iter().enumerate() {
            drawing.cell(0, row, &format!("issuer {name}"), url);
            drawing.cell(1, row, kind, &format!("in Issuer::\"{name}\""));
            drawing.line((0, row), (1, row));
            let first = row;
            for (_, audience, policies) in self.edges.iter().filter(|(issuer, _, _)| *issuer == at) {
                let (one, others) = summary(policies);
                drawing.cell_titled(2, row, (&one, &others), &policies.join(", "));
                drawing.line((1, first), (2, row));
                drawing.line((2, row), (3, *audience));
                row = row.saturating_add(1);
            }
            row = row.max(first.saturating_add(1));
        }
        for (at, (id, tier)) in self.audiences.iter().enumerate() {
            let reached = match self.edges.iter().any(|(_, audience, _)| *audience == at) {
                false => "nobody",
                true => "audience",
            };
            drawing.cell(3, at, id, reached);
            drawing.line((3, at), (4, self.tier_of(tier)));
        }
        for (at, tier) in self.tiers.iter().enumerate() {
            drawing.cell(4, at, tier, "signs");
        }
        drawing.finish()
    }
}

/// The two lines of the cell for `policies`.
fn summary(policies: &[String]) -> (String, String) {
    match policies {
        [] => (String::new(), String::new()),
        [one] => (one.clone(), "permits".to_owned()),
        [one, other] => (one.clone(), other.clone()),
        [one, others @ ..] => (one.clone(), format!("and {} more policies", others.len())),
    }
}

/// `text` escaped for a label of Mermaid.
fn quoted(text: &str) -> String {
    text.replace('"', "#quot;")
}

const CELL_WIDTH: usize = 260;
const CELL_HEIGHT: usize = 44;
const COLUMN_WIDTH: usize = 360;
const COLUMNS: usize = 5;
const ROW_HEIGHT: usize = 64;
const MARGIN: usize = 20;
/// Longest text in a cell. The title has all of it.
const TEXT_CHARACTERS_MAX: usize = 36;

/// Cells in a grid, and lines between them.
#[derive(Default)]
struct Drawing {
    lines: String,
    cells: String,
    rows: usize,
}

impl Drawing {
    /// The upper left corner of a cell.
    fn corner(column: usize, row: usize) -> (usize, usize) {
        let x = column.saturating_mul(COLUMN_WIDTH).saturating_add(MARGIN);
        let y = row.saturating_mul(ROW_HEIGHT).saturating_add(MARGIN);
        (x, y)
    }

    fn cell(&mut self, column: usize, row: usize, upper: &str, lower: &str) {
        self.cell_titled(column, row, (upper, lower), &format!("{upper} {lower}"));
    }

    /// A cell with two lines of text and a title.
    fn cell_titled(&mut self, column: usize, row: usize, texts: (&str, &str), title: &str) {
        self.rows = self.rows.max(row.saturating_add(1));
        let (x, y) = Self::corner(column, row);
        let middle = x.saturating_add(CELL_WIDTH / 2);
        let (upper, lower) = (y.saturating_add(18), y.saturating_add(35));
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.cells,
            "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{CELL_WIDTH}\" height=\"{CELL_HEIGHT}\" \
             rx=\"6\"/><text x=\"{middle}\" y=\"{upper}\">{}</text><text x=\"{middle}\" y=\"{lower}\" \
             class=\"s\">{}</text></g>",
            escaped(title),
            escaped(&shortened(texts.0)),
            escaped(&shortened(texts.1)),
        );
    }

    fn line(&mut self, from: (usize, usize), to: (usize, usize)) {
        let ((x1, y1), (x2, y2)) = (Self::corner(from.0, from.1), Self::corner(to.0, to.1));
        let (x1, y1) = (x1.saturating_add(CELL_WIDTH), y1.saturating_add(CELL_HEIGHT / 2));
        let y2 = y2.saturating_add(CELL_HEIGHT / 2);
        let bend = COLUMN_WIDTH.saturating_sub(CELL_WIDTH) / 2;
        let (c1, c2) = (x1.saturating_add(bend), x2.saturating_sub(bend));
        let _ = writeln!(self.lines, "<path d=\"M{x1} {y1}C{c1} {y1} {c2} {y2} {x2} {y2}\"/>");
    }

    fn finish(self) -> String {
        let Self { lines, cells, rows } = self;
        let width = (COLUMNS - 1) * COLUMN_WIDTH + CELL_WIDTH + 2 * MARGIN;
        let height = rows.max(1).saturating_mul(ROW_HEIGHT);
        let height = height.saturating_add(MARGIN);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-label=\"who can get what\">\n<style>\
             rect{{fill:#fff;stroke:#555}}path{{fill:none;stroke:#888}}\
             text{{font:13px sans-serif;text-anchor:middle;fill:#111}}\
             .s{{font-size:11px;fill:#666}}</style>\n\
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
