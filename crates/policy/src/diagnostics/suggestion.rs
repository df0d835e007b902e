//! Suggestions for misspelled names.

/// Most edits between a name and its suggestion: letters that are wrong, missing, extra, or swapped with the next.
const EDITS_MAX: usize = 2;

/// The known name closest to `name`, if one is close enough to be what was meant.
pub fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let edits_max = (name.chars().count() / 3).clamp(1, EDITS_MAX);
    let edits = |other: &str| strsim::osa_distance(name, other);
    let near = known.into_iter().map(|other| (edits(other), other));
    let near = near.filter(|(edits, _)| (1..=edits_max).contains(edits));
    near.min().map(|(_, other)| other.to_owned())
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn allows_two_edits_or_one_in_short_names() {
        let known = ["github", "gitlab", "cluster"];
        let cases = [
            ("gitub", Some("github")),
            ("gihtub", Some("github")),
            ("gitbal", Some("gitlab")),
            ("clutser-", Some("cluster")),
            ("hub", None),
            ("cluster", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(suggest(name, known).as_deref(), expected, "{name}");
        }
        assert_eq!(suggest("a", ["b"]).as_deref(), Some("b"));
    }
}
