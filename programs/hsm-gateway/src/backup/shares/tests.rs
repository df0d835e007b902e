use super::*;

fn threshold(text: &str) -> Threshold {
    text.parse().expect(text)
}

/// The holder of one share must not be able to determine what is restored.
#[test]
fn rejects_shares_whose_index_was_never_issued() {
    let threshold = threshold("2-of-3");
    let shares = split(&[7; 32], threshold);
    let words: Vec<_> = shares[0].split(' ').collect();
    let forged = |index: u8| {
        let text = URL_SAFE_NO_PAD.encode([&[index][..], &[9; 32]].concat());
        let check = check_of(threshold, words[2], &text);
        Zeroizing::new(format!("{SCHEME} {threshold} {} {check} {text}", words[2]))
    };
    for index in [0, 4, 255] {
        assert_eq!(
            combine(&[shares[0].clone(), forged(index)]),
            Err("share 2 has an index that is not 1 to 3".to_owned()),
            "{index}"
        );
    }
    assert_eq!(combine(&[shares[0].clone(), forged(3)]), Err("the shares do not restore the backup".to_owned()));
}

#[test]
fn any_k_of_n_shares_restore_the_secret() {
    for secret in [vec![7; 32], (0..=255).cycle().take(5_000).collect()] {
        let shares = split(&secret, threshold("3-of-5"));
        assert_eq!(shares.len(), 5);
        for a in 0..5 {
            for b in (0..5).filter(|b| *b != a) {
                let two = [shares[a].clone(), shares[b].clone()];
                assert_eq!(combine(&two), Err("not enough shares: 2 of 3 required (3-of-5)".to_owned()));
                for c in (0..5).filter(|c| *c != a && *c != b) {
                    let three = [&two[..], &[shares[c].clone()]].concat();
                    assert!(combine(&three).is_ok_and(|it| *it == secret));
                }
            }
        }
        assert!(combine(&shares).is_ok_and(|it| *it == secret), "with more shares than needed");
    }
}

#[test]
fn names_the_wrong_share() {
    let (first, second) = (split(&[7; 32], threshold("2-of-3")), split(&[8; 32], threshold("2-of-3")));
    let check = |lines: &[&str], expected: &str| {
        let lines: Vec<_> = lines.iter().map(|it| Zeroizing::new((*it).to_owned())).collect();
        assert_eq!(combine(&lines).map(drop), Err(expected.to_owned()));
    };
    check(&[], "no shares");
    check(&[&first[0]], "not enough shares: 1 of 2 required (2-of-3)");
    check(&[&first[0], &second[1]], "share 2 belongs to another backup");
    check(&[&first[0], &first[0]], "share 2 is a duplicate");
    check(&[&first[0], "x"], "share 2 is not a backup share");
    check(
        &[&first[0], "vouchsafe-root-share-v1 2-of-3 00 AA"],
        "share 2 has the first format, which holds no signing keys and is not supported",
    );
    check(&[&first[0], SCHEME], "share 2 is damaged");
    // Every character after the scheme's name, one at a time.
    for place in SCHEME.len() + 1..first[1].len() {
        let mut line = first[1].to_string();
        let other = if line[place..].starts_with('1') { "0" } else { "1" };
        line.replace_range(place..=place, other);
        if line.split_ascii_whitespace().nth(1) == Some("2-of-3") {
            check(&[&first[0], &line], "share 2 is damaged");
        } else {
            let lines = [first[0].clone(), Zeroizing::new(line)];
            assert!(combine(&lines).is_err(), "{place}");
        }
    }
    check(&[&first[0], &first[1][..first[1].len() - 1]], "share 2 is damaged");
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
