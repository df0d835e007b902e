//! What a misspelt name was meant to be.

/// Letters that are wrong, missing, too many, or swapped with the next.
const SLIPS_MAX: usize = 2;

/// The one of `known` that `name` is likely to be a slip of; none where nothing is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let slips_max = (name.chars().count() / 3).clamp(1, SLIPS_MAX);
    let slips = |other: &str| strsim::osa_distance(name, other);
    let near = known.into_iter().map(|other| (slips(other), other));
    let near = near.filter(|(slips, _)| (1..=slips_max).contains(slips));
    near.min().map(|(_, other)| other.to_owned())
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn takes_two_letters_for_slips_and_of_short_names_one() {
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
            assert_eq!(nearest(name, known).as_deref(), expected, "{name}");
        }
        assert_eq!(nearest("a", ["b"]).as_deref(), Some("b"));
    }
}
