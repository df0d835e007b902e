//! A graph as SVG: a column for each kind of node, its nodes spread evenly, and curves between them.

use super::nodes::{AudienceNode, Edge, Graph, IssuerNode, PolicyNode};
use crate::xml::escaped;
use std::fmt::Write;

const CELL_WIDTH: usize = 260;
const CELL_HEIGHT: usize = 44;
/// Height of a cell with one line of text.
const LINE_HEIGHT: usize = 28;
const COLUMN_WIDTH: usize = 370;
const COLUMNS: usize = 5;
/// Least distance between the middles of two cells with two lines, and with one.
const CELL_STEP: usize = 64;
const LINE_STEP: usize = 40;
const MARGIN: usize = 20;
/// Where the columns begin, below the title.
const TOP: usize = 50;
const LEGEND_HEIGHT: usize = 50;
/// Longest text in a cell. The title has all of it.
const TEXT_CHARACTERS_MAX: usize = 36;

const STYLE: &str = "rect{fill:#fff;stroke:#555}path{fill:none;stroke:#888}text{font:13px sans-serif;\
                     text-anchor:middle;fill:#111}.n{stroke-dasharray:2 4}.u{stroke-width:3}.s{font-size:11px;fill:#666}.t{text-anchor:start}.f{stroke:#c00}\
                     .x{fill:#c00}circle{fill:#555}";

pub(super) fn draw(graph: &Graph) -> String {
    let Graph { title, issuers, policies, audiences, tiers } = graph;
    let height = [issuers.len(), audiences.len(), tiers.len()]
        .map(|cells| cells.saturating_mul(CELL_STEP))
        .into_iter()
        .fold(policies.len().saturating_mul(LINE_STEP).max(CELL_STEP), usize::max);
    let mut drawing = Drawing { height, lines: String::new(), cells: String::new() };
    let issuer_spots = drawing.spots(0, issuers.len());
    let type_spots = drawing.spots(1, issuers.len());
    let policy_spots = drawing.spots(2, policies.len());
    let audience_spots = drawing.spots(3, audiences.len());
    let tier_spots = drawing.spots(4, tiers.len());
    for (issuer, (spot, type_spot)) in issuers.iter().zip(issuer_spots.iter().zip(&type_spots)) {
        let IssuerNode { name, url, entity_type } = issuer;
        drawing.cell(*spot, &format!("issuer {name}"), url);
        drawing.cell(*type_spot, entity_type, &format!("in Issuer::\"{name}\""));
        drawing.line(*spot, *type_spot, Style::Plain);
    }
    for (policy, spot) in policies.iter().zip(&policy_spots) {
        drawing.policy(*spot, policy);
        for (from, edge) in policy.issuers.iter().filter_map(|edge| Some((type_spots.get(edge.to)?, edge))) {
            drawing.line(*from, *spot, Style::Of(policy, edge));
        }
        for (to, edge) in policy.audiences.iter().filter_map(|edge| Some((audience_spots.get(edge.to)?, edge))) {
            drawing.line(*spot, *to, Style::Of(policy, edge));
        }
    }
    for (audience, spot) in audiences.iter().zip(&audience_spots) {
        let AudienceNode { id, tier, .. } = audience;
        drawing.cell(*spot, id, &audience.scopes_text());
        if let Some(to) = tier_spots.get(*tier) {
            drawing.line(*spot, *to, Style::Plain);
        }
    }
    for (tier, spot) in tiers.iter().zip(&tier_spots) {
        drawing.cell(*spot, tier, "signs");
    }
    drawing.finish(title, graph.is_counted())
}

/// How an arrow is drawn.
enum Style<'g> {
    Plain,
    /// As the effect of the policy and the use of the edge demand.
    Of(&'g PolicyNode, &'g Edge),
}

/// The left end of a cell, at half its height.
#[derive(Clone, Copy)]
struct Spot {
    x: usize,
    y: usize,
}

struct Drawing {
    /// Height of the columns.
    height: usize,
    lines: String,
    cells: String,
}

impl Drawing {
    /// Where the cells of a column are.
    fn spots(&self, column: usize, cells: usize) -> Vec<Spot> {
        let x = column.saturating_mul(COLUMN_WIDTH).saturating_add(MARGIN);
        let middle = |cell: usize| {
            let halves = cell.saturating_mul(2).saturating_add(1).saturating_mul(self.height);
            halves.checked_div(cells.saturating_mul(2)).unwrap_or_default().saturating_add(TOP)
        };
        (0..cells).map(|cell| Spot { x, y: middle(cell) }).collect()
    }

    /// A cell with two lines of text.
    fn cell(&mut self, spot: Spot, upper: &str, lower: &str) {
        let Spot { x, y } = spot;
        let (top, middle) = (y.saturating_sub(CELL_HEIGHT / 2), x.saturating_add(CELL_WIDTH / 2));
        let (line, below) = (y.saturating_sub(4), y.saturating_add(13));
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.cells,
            "<g><title>{} {}</title><rect x=\"{x}\" y=\"{top}\" width=\"{CELL_WIDTH}\" height=\"{CELL_HEIGHT}\" \
             rx=\"6\"/><text x=\"{middle}\" y=\"{line}\">{}</text><text x=\"{middle}\" y=\"{below}\" \
             class=\"s\">{}</text></g>",
            escaped(upper),
            escaped(lower),
            escaped(&shortened(upper)),
            escaped(&shortened(lower)),
        );
    }

    /// A cell with one line of text, and a dot if there are conditions.
    fn policy(&mut self, spot: Spot, policy: &PolicyNode) {
        let Spot { x, y } = spot;
        let (top, middle) = (y.saturating_sub(LINE_HEIGHT / 2), x.saturating_add(CELL_WIDTH / 2));
        let (line, dot) = (y.saturating_add(4), x.saturating_add(CELL_WIDTH - 12));
        let (frame, ink) = if policy.forbid { (" class=\"f\"", " class=\"x\"") } else { ("", "") };
        let (conditions, dot) = match policy.has_conditions {
            true => (", with conditions", format!("<circle cx=\"{dot}\" cy=\"{y}\" r=\"4\"{ink}/>")),
            false => ("", String::new()),
        };
        let _ = writeln!(
            self.cells,
            "<g><title>{} {}{conditions}</title><rect x=\"{x}\" y=\"{top}\" width=\"{CELL_WIDTH}\" \
             height=\"{LINE_HEIGHT}\" rx=\"6\"{frame}/><text x=\"{middle}\" y=\"{line}\"{ink}>{}</text>{dot}</g>",
            policy.effect(),
            escaped(&policy.id),
            escaped(&shortened(&policy.id)),
        );
    }

    /// An arrow from the right end of one cell to the left end of another.
    fn line(&mut self, from: Spot, to: Spot, style: Style<'_>) {
        let (x1, y1) = (from.x.saturating_add(CELL_WIDTH), from.y);
        // The arrowhead ends at the cell.
        let (x2, y2) = (to.x.saturating_sub(1), to.y);
        let bend = COLUMN_WIDTH.saturating_sub(CELL_WIDTH) / 2;
        let (c1, c2) = (x1.saturating_add(bend), x2.saturating_sub(bend));
        let (head, class, uses) = match style {
            Style::Of(PolicyNode { forbid, .. }, Edge { uses, .. }) => {
                let use_class = uses.map_or("", |uses| if uses == 0 { "n" } else { "u" });
                let (head, effect) = if *forbid { ("b", "f") } else { ("a", "") };
                (head, [effect, use_class].join(" ").trim().to_owned(), *uses)
            }
            Style::Plain => ("a", String::new(), None),
        };
        let class = if class.is_empty() { class } else { format!(" class=\"{class}\"") };
        let path = format!("<path d=\"M{x1} {y1}C{c1} {y1} {c2} {y2} {x2} {y2}\" marker-end=\"url(#{head})\"{class}");
        let _ = match uses {
            None => writeln!(self.lines, "{path}/>"),
            Some(uses) => writeln!(self.lines, "{path}><title>decisions: {uses}</title></path>"),
        };
    }

    fn finish(self, title: &str, is_counted: bool) -> String {
        let Self { lines, cells, height } = self;
        let width = (COLUMNS - 1) * COLUMN_WIDTH + CELL_WIDTH + 2 * MARGIN;
        let bottom = height.saturating_add(TOP);
        let height = bottom.saturating_add(LEGEND_HEIGHT);
        let head = |id: &str, fill: &str| {
            format!(
                "<marker id=\"{id}\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
                 orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" style=\"fill:{fill};stroke:none\"/></marker>"
            )
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-label=\"who can get what\">\n<style>{STYLE}</style>\n\
             <defs>{}{}</defs>\n<rect width=\"{width}\" height=\"{height}\" style=\"stroke:none\"/>\n\
             <text x=\"{MARGIN}\" y=\"28\" class=\"t\">{}</text>\n{lines}{cells}{}</svg>\n",
            head("a", "#888"),
            head("b", "#c00"),
            escaped(title),
            legend(bottom.saturating_add(LEGEND_HEIGHT / 2), is_counted),
        )
    }
}

/// What colours, dots and lines mean.
fn legend(y: usize, is_counted: bool) -> String {
    let (top, line) = (y.saturating_sub(10), y.saturating_add(4));
    let uses = match is_counted {
        true => format!(
            "<path d=\"M610 {y}h30\" class=\"u\"/><text x=\"648\" y=\"{line}\" class=\"t s\">used</text>\
             <path d=\"M690 {y}h30\" class=\"n\"/><text x=\"728\" y=\"{line}\" class=\"t s\">not used</text>"
        ),
        false => String::new(),
    };
    format!(
        "<rect x=\"20\" y=\"{top}\" width=\"30\" height=\"20\" rx=\"4\"/>\
         <text x=\"58\" y=\"{line}\" class=\"t s\">permit</text>\
         <rect x=\"120\" y=\"{top}\" width=\"30\" height=\"20\" rx=\"4\" class=\"f\"/>\
         <text x=\"158\" y=\"{line}\" class=\"t s\">forbid: overrules permits</text>\
         <circle cx=\"320\" cy=\"{y}\" r=\"4\"/>\
         <text x=\"332\" y=\"{line}\" class=\"t s\">has conditions, which a request must meet</text>{uses}\n"
    )
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
