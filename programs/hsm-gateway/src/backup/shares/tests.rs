use super::*;

fn threshold(text: &str) -> Threshold {
    text.parse().expect(text)
}

/// Shares in files `a`, `b`, `c`, … that say nothing about their number.
fn files<L: AsRef<str>>(lines: impl IntoIterator<Item = L>) -> Vec<ShareFile> {
    let names = ('a'..='z').map(|name| PathBuf::from(name.to_string()));
    let file = |(path, line): (PathBuf, L)| ShareFile { path, line: Zeroizing::new(line.as_ref().to_owned()) };
    names.zip(lines).map(file).collect()
}

/// The holder of one share must not be able to determine what is restored.
#[test]
fn rejects_shares_whose_index_was_never_issued() {
    let threshold = threshold("2-of-3");
    let shares = split(&[7; 32], threshold);
    let words: Vec<_> = shares[0].split(' ').collect();
    let check = |index: u8, expected: &str| {
        let text = URL_SAFE_NO_PAD.encode([&[index][..], &[9; 32]].concat());
        let check = check_of(threshold, words[2], &text);
        let forged = format!("{SCHEME} {threshold} {} {check} {text}", words[2]);
        assert_eq!(combine(&files([&*shares[0], &forged])), Err(expected.to_owned()));
    };
    for index in [0, 4, 255] {
        check(index, &format!("`b` has the number {index}, which is not 1 to 3"));
    }
    check(3, "the shares do not restore the backup: `a` (share 1), `b` (share 3)");
}

#[test]
fn any_k_of_n_shares_restore_the_secret() {
    for secret in [vec![7; 32], (0..=255).cycle().take(5_000).collect()] {
        let shares = split(&secret, threshold("3-of-5"));
        assert_eq!(shares.len(), 5);
        for a in 0..5 {
            for b in (0..5).filter(|b| *b != a) {
                let two = [&*shares[a], &*shares[b]].map(String::as_str);
                let numbers = format!("`a` (share {}), `b` (share {})", a + 1, b + 1);
                let expected = format!("not enough shares: 2 of 3 required (3-of-5): {numbers}");
                assert_eq!(combine(&files(two)), Err(expected));
                for c in (0..5).filter(|c| *c != a && *c != b) {
                    let three = [&two[..], &[shares[c].as_str()]].concat();
                    assert!(combine(&files(three)).is_ok_and(|it| *it == secret));
                }
            }
        }
        let all = shares.iter().map(|it| it.as_str());
        assert!(combine(&files(all)).is_ok_and(|it| *it == secret), "with more shares than needed");
    }
}

#[test]
fn names_file_and_number_of_wrong_share() {
    let (first, second) = (split(&[7; 32], threshold("2-of-3")), split(&[8; 32], threshold("2-of-3")));
    let rarer = split(&[7; 32], threshold("3-of-4"));
    let check = |lines: &[&str], expected: &str| {
        assert_eq!(combine(&files(lines.iter().copied())).map(drop), Err(expected.to_owned()));
    };
    check(&[], "no shares");
    check(&[&first[0]], "not enough shares: 1 of 2 required (2-of-3): `a` (share 1)");
    check(&[&first[2], &second[1]], "`b` (share 2) belongs to another backup than `a` (share 3)");
    check(&[&first[2], &rarer[3]], "`b` (share 4) is one of 3-of-4, but `a` (share 3) is one of 2-of-3");
    check(&[&first[2], &first[0], &first[2]], "`c` (share 3) is a duplicate of `a` (share 3)");
    check(&[&first[0], "x"], "`b` is not a backup share");
    check(
        &[&first[0], "vouchsafe-root-share-v1 2-of-3 00 AA"],
        "`b` has the first format, which holds no signing keys and is not supported",
    );
    check(&[&first[0], SCHEME], "`b` is damaged");
    check(&[&first[2][..first[2].len() - 1], &first[0]], "`a` (share 3) is damaged");
    // Every character after the scheme's name, one at a time.
    let number_at = first[1].rfind(' ').expect("words") + 1;
    for place in SCHEME.len() + 1..first[1].len() {
        let mut line = first[1].to_string();
        let other = if line[place..].starts_with('1') { "0" } else { "1" };
        line.replace_range(place..=place, other);
        let Err(message) = combine(&files([&*first[0], &line])) else { panic!("{place}") };
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let is_legible = words.len() == 5 && words[1] == "2-of-3";
        if is_legible && !(number_at..number_at + 2).contains(&place) {
            assert_eq!(message, "`b` (share 2) is damaged", "{place}");
        }
    }
}

#[test]
fn parses_thresholds() {
    for good in ["2-of-2", "2-of-3", "16-of-16"] {
        assert_eq!(threshold(good).to_string(), good);
    }
    for wrong in ["", "1-of-3", "3-of-2", "2-of-17", "2of3", "2-of-", "-2-of-3", "two-of-three"] {
        assert!(wrong.parse::<Threshold>().is_err(), "{wrong}");
    }
}
