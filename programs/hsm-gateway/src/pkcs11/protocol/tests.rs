use super::*;

#[test]
fn round_trips_messages_until_the_end() {
    let call = Call::Derive { message: vec![0, 255, 7].into() };
    let bytes = frame(&Request { id: 7, call, root: None }).expect("a frame");
    let mut stream = bytes.as_slice();
    let request: Request = read(&mut stream).expect("reads").expect("a message");
    assert!(request.id == 7 && matches!(request.call, Call::Derive { message } if *message.0 == [0, 255, 7]));
    assert!(read::<Request>(&mut stream).expect("reads").is_none());
}

/// Whether the base64 of the test's secret is anywhere in this process's memory; the needle is masked, so that it does
/// not find itself.
fn is_in_memory() -> bool {
    use std::os::unix::fs::FileExt as _;
    const MASK: u8 = 0x55;
    let needle: Vec<_> = (0..64).map(|at| b"tust"[at % 4] ^ MASK).collect();
    let memory = std::fs::File::open("/proc/self/mem").expect("Linux");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
    let regions = maps.lines().filter(|line| line.contains(" rw"));
    let mut bytes = vec![0; 1 << 20];
    for region in regions {
        let range = region.split(' ').next().and_then(|it| it.split_once('-'));
        let (start, end) = range.expect("a range");
        let number = |hex| u64::from_str_radix(hex, 16).expect("a number");
        let (mut at, end) = (number(start), number(end));
        // A region may be unmapped while it is read.
        while let Ok(count @ 64..) = memory.read_at(&mut bytes, at) {
            let inside = usize::try_from(end - at).map_or(count, |it| it.min(count));
            let found = bytes[..inside].windows(needle.len());
            let is_it = |it: &[u8]| it.iter().zip(&needle).all(|(a, b)| *a ^ MASK == *b);
            if found.into_iter().any(is_it) {
                // Or the next search would find this copy.
                bytes.fill(0);
                std::hint::black_box(&bytes);
                return true;
            }
            at += u64::try_from(count).expect("small") - 63;
            if at + 64 > end {
                break;
            }
        }
    }
    false
}

/// A buffer that grows would leave copies of its content.
#[test]
fn no_secret_is_left_in_memory_by_a_frame() {
    const SECRET: [u8; 3] = [0xb6, 0xeb, 0x2d];
    let secret: Bytes = SECRET.repeat(100).into();
    // Makes a buffer grow after the secret is in it.
    let message = (secret, "x".repeat(10_000));
    let bytes = frame(&message).expect("a frame");
    assert!(is_in_memory(), "while the frame exists");
    drop(bytes);
    assert!(!is_in_memory(), "after it is dropped");
}

#[test]
fn prints_own_errors_verbatim() {
    let text = "8 killed workers have not exited";
    assert_eq!(Pkcs11Error::Module(text.to_owned()).to_string(), text);
}

#[test]
fn bounds_frames() {
    let bytes = |length: usize| u32::try_from(length).expect("short").to_be_bytes();
    assert!(frame_bytes(bytes(FRAME_BYTES_MAX)).is_ok());
    assert!(frame_bytes(bytes(FRAME_BYTES_MAX + 1)).is_err());
}

#[test]
fn safe_key_is_not_extractable_and_only_signs() {
    let safe = Flags { sensitive: true, extractable: false, never_extractable: false, sign: true, more: false };
    assert!(safe.are_safe());
    for unsafe_ in [
        Flags { sensitive: false, ..safe },
        Flags { extractable: true, ..safe },
        Flags { sign: false, ..safe },
        Flags { more: true, ..safe },
    ] {
        assert!(!unsafe_.are_safe(), "{unsafe_:?}");
    }
}
