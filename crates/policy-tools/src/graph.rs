//! Who can get what: issuers, principal types, policies, audiences and the keys that sign, as Mermaid or SVG.
//!
//! A policy is connected with the principal types and audiences that its scope can match. Its conditions are not
//! evaluated: a mark says that there are some. [`Graph::keep`] leaves only what was proven to be possible, and
//! [`Graph::count`] shows what was used.

mod nodes;
mod svg;

pub use nodes::{AudienceNode, Edge, Grant, Graph, IssuerNode, PolicyNode};
use std::fmt::Write;

impl Graph {
    /// The graph as a Mermaid flowchart. Policies that forbid are red, with crossed edges; those with conditions end in
    /// `if …`. If decisions were counted, edges of use are thick, with the count, and the others are dotted.
    pub fn mermaid(&self) -> String {
        let mut text = format!("---\ntitle: {}\n---\nflowchart LR\n", yaml(&self.title));
        // Writing to a String cannot fail.
        for (at, IssuerNode { name, url, entity_type }) in self.issuers.iter().enumerate() {
            let (name, url) = (quoted(name), quoted(url));
            let _ = writeln!(text, "  i{at}[\"issuer {name}<br/>{url}\"] --> k{at}([\"{entity_type}\"])");
        }
        for (at, audience) in self.audiences.iter().enumerate() {
            let scopes = quoted(&audience.scopes_text());
            let _ = writeln!(text, "  a{at}[\"{}<br/>{scopes}\"] --> t{}", quoted(&audience.id), audience.tier);
        }
        for (at, tier) in self.tiers.iter().enumerate() {
            let _ = writeln!(text, "  t{at}[(\"{tier}\")]");
        }
        for (at, policy) in self.policies.iter().enumerate() {
            let (head, class) = if policy.forbid { ("x", ":::forbid") } else { (">", "") };
            let mark = if policy.has_conditions { " if …" } else { "" };
            let _ = writeln!(text, "  p{at}[\"{} {}{mark}\"]{class}", policy.effect(), policy.id);
            for edge in &policy.issuers {
                let _ = writeln!(text, "  k{} {} p{at}", edge.to, line(edge, ""));
            }
            for edge in &policy.audiences {
                let _ = writeln!(text, "  p{at} {} a{}", line(edge, head), edge.to);
            }
        }
        text.push_str("  classDef forbid stroke:#c00,color:#c00\n");
        text
    }

    /// The graph as SVG, with a column for each kind of node, and a legend.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }
}

/// The line of an edge with an arrowhead, or with none.
fn line(edge: &Edge, head: &str) -> String {
    match (edge.uses, head) {
        (None, "") => "---".to_owned(),
        (None, head) => format!("--{head}"),
        (Some(0), "") => "-.-".to_owned(),
        (Some(0), head) => format!("-.-{head}"),
        (Some(_), "") => "===".to_owned(),
        (Some(uses), head) => format!("=={head}|{uses}|"),
    }
}

/// `text` as a string of YAML.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `text` escaped for a label of Mermaid.
fn quoted(text: &str) -> String {
    text.replace('"', "#quot;")
}
