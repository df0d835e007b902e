//! Policies: who must have signed.

use super::*;

struct Scene {
    log: Signer,
    witnesses: Vec<Signer>,
}

fn scene() -> Scene {
    let witness = |number: u8| Signer::new(10 + number, &format!("witness.example/{number}"), KeyKind::Cosignature);
    Scene { log: Signer::new(1, "log.example/a", KeyKind::Ed25519), witnesses: (0..4).map(witness).collect() }
}

impl Scene {
    /// A policy with these last lines.
    fn policy(&self, lines: &str) -> Result<Policy, PolicyError> {
        let mut text = format!("# trusted\nlog {} https://log.example/a\n\n", self.log.1);
        for (number, witness) in self.witnesses.iter().enumerate() {
            text += &format!(" witness\tw{number}  {}\n", witness.1);
        }
        Policy::parse(&(text + lines))
    }

    fn note(&self, cosigned_by: &[usize]) -> Note {
        let text = Checkpoint { origin: "log.example/a".into(), size: 3, root: tree(3).root() }.to_string();
        let mut note = format!("{text}\n{}", self.log.line(&text));
        cosigned_by.iter().for_each(|number| note += &self.witnesses[*number].line(&text));
        Note::parse(&note).unwrap()
    }
}

#[test]
fn quorum_counts_witnesses_and_groups() {
    let scene = scene();
    let two = "group two 2 w0 w1 w2\n";
    for (lines, quorum, cosigned_by, accepted) in [
        ("", "none", &[][..], true),
        ("", "w0", &[0], true),
        ("", "w0", &[1, 2, 3], false),
        (two, "two", &[0, 2], true),
        (two, "two", &[0, 3], false),
        ("group any any w0 w1\n", "any", &[1], true),
        ("group any any w0 w1\n", "any", &[2], false),
        ("group every all w0 w1\n", "every", &[0, 1], true),
        ("group every all w0 w1\n", "every", &[0], false),
        ("group two 2 w0 w1 w2\ngroup both all two w3\n", "both", &[1, 2, 3], true),
        ("group two 2 w0 w1 w2\ngroup both all two w3\n", "both", &[0, 1, 2], false),
    ] {
        let policy = scene.policy(&format!("{lines}quorum {quorum}\n")).unwrap();
        let outcome = policy.accept(&scene.note(cosigned_by), &verify);
        match outcome {
            Ok(Accepted { checkpoint, witnesses }) => {
                assert!(accepted, "{lines}");
                assert_eq!((checkpoint.size, witnesses.len()), (3, cosigned_by.len()));
            }
            Err(rejected) => {
                assert!(!accepted, "{lines} {rejected}");
                assert_eq!(rejected, Rejected::Quorum(quorum.to_owned()));
            }
        }
    }
}

#[test]
fn log_must_have_signed() {
    let scene = scene();
    let policy = scene.policy("quorum none").unwrap();
    let text = Checkpoint { origin: "log.example/a".into(), size: 3, root: tree(3).root() }.to_string();
    let of = |note: String| policy.accept(&Note::parse(&note).unwrap(), &verify).unwrap_err();
    let witnessed = format!("{text}\n{}", scene.witnesses[0].line(&text));
    assert_eq!(of(witnessed), Rejected::Log("log.example/a".into()));
    let other = text.replace("example/a", "example/b");
    assert_eq!(of(format!("{other}\n{}", scene.log.line(&other))), Rejected::Log("log.example/b".into()));
    let forged = format!("{}\n{}", text.replace("\n3\n", "\n4\n"), scene.log.line(&text));
    assert_eq!(of(forged), Rejected::Note(NoteError::Signature("log.example/a".into())));
}

#[test]
fn names_the_line_that_is_wrong() {
    let scene = scene();
    let (log, witness) = (&scene.log.1, &scene.witnesses[0].1);
    for (line, why) in [
        ("quorum w9".to_owned(), "`w9` is not defined above"),
        ("group g 1".to_owned(), "a group needs `any`, `all`, or a number from 1 to that of its members"),
        ("group g 0 w0".to_owned(), "a group needs `any`, `all`, or a number from 1 to that of its members"),
        ("group g 3 w0 w1".to_owned(), "a group needs `any`, `all`, or a number from 1 to that of its members"),
        ("group g all w0 w0".to_owned(), "`w0` is a member twice"),
        ("group g all g".to_owned(), "`g` is not defined above"),
        ("group w0 all w1".to_owned(), "`w0` is defined already"),
        ("group none all w1".to_owned(), "`none` is defined already"),
        (format!("witness w9 {witness}"), "the key of `w9` is that of another witness"),
        (format!("witness w9 {log}"), "the key of `log.example/a` is for a log, not for cosignatures"),
        (format!("log {witness}"), "the key of `witness.example/0` is for cosignatures, not for a log"),
        (format!("log {log}"), "the key of `log.example/a` is that of another log"),
        ("log a".to_owned(), "`a` is not a verifier key: it has no three parts"),
        ("trust everyone".to_owned(), "`trust` does not begin a line of a policy, or has another number of words"),
    ] {
        assert_eq!(scene.policy(&line), Err(PolicyError::Line(8, why.to_owned())), "{line}");
    }
    assert_eq!(
        scene.policy("quorum none\nquorum w0"),
        Err(PolicyError::Line(9, "there is another line `quorum`".into()))
    );
    assert_eq!(scene.policy(""), Err(PolicyError::Quorum));
    let lines = |count: usize| Policy::parse(&format!("quorum none{}", "\n#".repeat(count - 1)));
    assert!(lines(POLICY_LINES_MAX).is_ok());
    assert_eq!(lines(POLICY_LINES_MAX + 1), Err(PolicyError::TooLong));
    assert_eq!(Policy::parse(&" ".repeat(POLICY_BYTES_MAX + 1)), Err(PolicyError::TooLong));
}
