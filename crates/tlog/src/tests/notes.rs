//! Signed notes, keys and checkpoints.

use super::*;

// The example of C2SP signed-note.
const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const NOTE: &str = "This is an example message.\n\n\
    \u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

#[test]
fn verifies_the_published_example() {
    let key = VerifierKey::parse(VKEY).unwrap();
    let note = Note::parse(NOTE).unwrap();
    assert_eq!((key.name(), key.kind(), key.to_string()), ("example.com/foo", KeyKind::Ed25519, VKEY.to_owned()));
    assert_eq!((note.text(), note.to_string().as_str()), ("This is an example message.\n", NOTE));
    assert_eq!(note.signed_by(&key, &verify), Ok(Some(0)));
    let changed = Note::parse(&NOTE.replace("an example", "another")).unwrap();
    assert_eq!(changed.signed_by(&key, &verify), Err(NoteError::Signature("example.com/foo".into())));
}

#[test]
fn ignores_signatures_of_unknown_keys() {
    let note = Note::parse(NOTE).unwrap();
    for stranger in [Signer::new(1, "example.com/foo", KeyKind::Ed25519), Signer::new(1, "a", KeyKind::Ed25519)] {
        assert_eq!(note.signed_by(&stranger.1, &verify), Ok(None));
    }
}

#[test]
fn cosignature_covers_time_and_checkpoint() {
    let witness = Signer::new(2, "witness.example/w", KeyKind::Cosignature);
    let text = "log.example/a\n5\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    let note = format!("{text}\n{}", witness.line(text));
    assert_eq!(Note::parse(&note).unwrap().signed_by(&witness.1, &verify), Ok(Some(1_800_000_000)));
    let mut early = 1_799_999_999_u64.to_be_bytes().to_vec();
    early.extend(witness.sign(&cosigned_message(1_800_000_000, text)));
    let wrong = Err(NoteError::Signature("witness.example/w".into()));
    for bytes in
        [early, vec![0; 8], vec![0; 72], [vec![0xff; 8], witness.sign(&cosigned_message(u64::MAX, text))].concat()]
    {
        let note = format!("{text}\n{}", witness.1.line(&bytes));
        assert_eq!(Note::parse(&note).unwrap().signed_by(&witness.1, &verify), wrong);
    }
}

#[test]
fn refuses_malformed_notes() {
    let line = &NOTE[NOTE.find('\u{2014}').unwrap()..];
    let malformed = |why| Err(NoteError::Malformed(why));
    for (note, expected) in [
        ("a\n".to_owned(), malformed("it has no empty line")),
        (format!("a\n\n{}", line.trim_end()), malformed("it does not end with a line feed")),
        ("a\n\n\n".to_owned(), malformed("it does not end with a line feed")),
        (format!("a\n\n{}", line.replace('\u{2014}', "-")), malformed("a line is no signature")),
        (format!("a\n\n{}", line.replace("foo", "f+o")), malformed("a line is no signature")),
        (format!("a\n\n{}", line.replace('=', "")), malformed("a line is no signature")),
        ("a\n\n\u{2014} a AAAAAA==\n".to_owned(), malformed("a line is no signature")),
        (format!("a\tb\n\n{line}"), malformed("it has a control character")),
        (format!("a\n\n{}", line.repeat(65)), malformed("it has too many signatures")),
        (format!("{}\n\n{line}", "a".repeat(NOTE_BYTES_MAX)), Err(NoteError::TooLong)),
    ] {
        assert_eq!(Note::parse(&note), expected, "{note:.60}");
    }
    assert_eq!(Note::parse(&format!("a\n\n{}", line.repeat(64))).unwrap().signatures().len(), SIGNATURES_MAX);
    let filled = "a".repeat(NOTE_BYTES_MAX - line.len() - 2);
    assert!(Note::parse(&format!("{filled}\n\n{line}")).is_ok());
}

#[test]
fn refuses_malformed_keys() {
    for (text, why) in [
        ("example.com/foo+530d903a", "it has no three parts"),
        ("example.com/foo+530d903a+AekyeRrm", "an Ed25519 key has 32 bytes"),
        (
            "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "it is neither an Ed25519 key nor one for cosignatures",
        ),
        (
            "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "its id is not that of its name and key",
        ),
        (
            "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "its id is not that of its name and key",
        ),
        (
            "example.com/ foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "its name is empty, too long, or has a space or a plus",
        ),
        (
            "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "its name is empty, too long, or has a space or a plus",
        ),
        ("a+b+~", "its last part is not Base64"),
    ] {
        assert_eq!(VerifierKey::parse(text), Err(NoteError::Key(why)), "{text}");
    }
    let name = |bytes: usize| VerifierKey::new(&"n".repeat(bytes), KeyKind::Ed25519, [7; 32]).is_ok();
    assert_eq!([name(NAME_BYTES_MAX), name(NAME_BYTES_MAX + 1)], [true, false]);
}

#[test]
fn checkpoints_have_three_lines() {
    let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let text = format!("log.example/a\n{SIZE_MAX}\n{root}\n");
    let checkpoint = Checkpoint::parse(&text).unwrap();
    assert_eq!(
        (checkpoint.origin.as_str(), checkpoint.size, checkpoint.root),
        ("log.example/a", SIZE_MAX, empty_root())
    );
    assert_eq!(checkpoint.to_string(), text);
    for (text, why) in [
        (format!("a\n1\n{root}"), "not a checkpoint: it does not end with a line feed"),
        (format!("a\n1\n{root}\nmore\n"), "not a checkpoint: it has no three lines"),
        ("a\n1\n".to_owned(), "not a checkpoint: it has no three lines"),
        (format!("\n1\n{root}\n"), "not a checkpoint: its origin is empty or too long"),
        (format!("a\n01\n{root}\n"), "not a checkpoint: its size is no number"),
        (format!("a\n-1\n{root}\n"), "not a checkpoint: its size is no number"),
        (format!("a\n{}\n{root}\n", SIZE_MAX + 1), "not a checkpoint: its size is no number"),
        (format!("a\n1\n{}\n", &root[4..]), "not a checkpoint: its root is no hash"),
    ] {
        assert_eq!(Checkpoint::parse(&text).unwrap_err().to_string(), why, "{text}");
    }
}
