//! Cycles of a directed graph, whose nodes are numbers and whose edges are sets of targets.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The strongly connected components of more than one node (Tarjan's algorithm).
pub fn components(targets: &[BTreeSet<usize>]) -> Vec<BTreeSet<usize>> {
    let mut search = Search { targets, index: BTreeMap::new(), stack: Vec::new(), found: Vec::new() };
    for node in 0..targets.len() {
        if !search.index.contains_key(&node) {
            search.visit(node);
        }
    }
    search.found
}

/// The shortest cycle within the strongly connected `component`.
pub fn shortest(targets: &[BTreeSet<usize>], component: &BTreeSet<usize>) -> Vec<usize> {
    let cycles = component.iter().filter_map(|start| shortest_from(targets, *start, component));
    cycles.min_by_key(Vec::len).unwrap_or_default()
}

fn shortest_from(targets: &[BTreeSet<usize>], start: usize, component: &BTreeSet<usize>) -> Option<Vec<usize>> {
    let mut before = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        if targets[node].contains(&start) {
            let mut path = vec![node];
            while let Some(previous) = path.last().and_then(|node| before.get(node)) {
                path.push(*previous);
            }
            path.reverse();
            return Some(path);
        }
        for next in targets[node].intersection(component) {
            if *next != start && !before.contains_key(next) {
                before.insert(*next, node);
                queue.push_back(*next);
            }
        }
    }
    None
}

struct Search<'g> {
    targets: &'g [BTreeSet<usize>],
    /// The order in which nodes were visited.
    index: BTreeMap<usize, usize>,
    stack: Vec<usize>,
    found: Vec<BTreeSet<usize>>,
}

impl Search<'_> {
    /// Returns the lowest index that is reachable from `node` and still on the stack.
    fn visit(&mut self, node: usize) -> usize {
        let own = self.index.len();
        self.index.insert(node, own);
        self.stack.push(node);
        let mut low = own;
        for target in &self.targets[node] {
            low = match self.index.get(target) {
                None => low.min(self.visit(*target)),
                Some(index) if self.stack.contains(target) => low.min(*index),
                Some(_) => low,
            };
        }
        if low == own {
            let start = self.stack.iter().position(|stacked| *stacked == node).unwrap_or_default();
            let component: BTreeSet<_> = self.stack.drain(start..).collect();
            if component.len() > 1 {
                self.found.push(component);
            }
        }
        low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(edges: &[&[usize]], expected_components: &[&[usize]], expected_shortest: &[&[usize]]) {
        let targets: Vec<BTreeSet<usize>> = edges.iter().map(|to| to.iter().copied().collect()).collect();
        let found = components(&targets);
        let shown: Vec<Vec<usize>> = found.iter().map(|nodes| nodes.iter().copied().collect()).collect();
        assert_eq!(shown, expected_components, "{edges:?}");
        let cycles: Vec<_> = found.iter().map(|component| shortest(&targets, component)).collect();
        assert_eq!(cycles, expected_shortest, "{edges:?}");
    }

    #[test]
    fn finds_every_component_and_its_shortest_cycle() {
        check(&[&[1], &[2], &[]], &[], &[]);
        check(&[&[1], &[0]], &[&[0, 1]], &[&[0, 1]]);
        check(&[&[1], &[2], &[0, 3], &[2]], &[&[0, 1, 2, 3]], &[&[2, 3]]);
        check(&[&[1], &[0, 2], &[3], &[2]], &[&[2, 3], &[0, 1]], &[&[2, 3], &[0, 1]]);
    }
}
