//! Store load of a request that waits for another one's fetch.

use crate::check;
use crate::fake::*;

/// A key document may be 256 KiB large, and 128 requests may wait for it.
#[test]
fn reads_keys_only_before_and_after_wait() {
    let fetching = Fake::new();
    check(&fetching, "", Ok(()));
    let fetched = fetching.documents.borrow().clone();
    for pauses in [1, 60, 100] {
        let waiting = Fake::new();
        waiting.leases.replace(fetching.leases.borrow().clone());
        let fetched = fetched.clone();
        let act: Act = Box::new(move |fake: &Fake| {
            if fake.count("pause") == pauses {
                fake.documents.replace(fetched.clone());
            }
        });
        waiting.while_waiting.replace(Some(act));
        check(&waiting, "", Ok(()));
        assert_eq!(waiting.count("pause"), pauses);
        let read = waiting.read.borrow();
        let of_keys = read.iter().filter(|name| name.starts_with("keys/"));
        assert_eq!(of_keys.count(), 3, "after {pauses} pauses");
    }
}

/// An older broker, which does not count attempts.
#[test]
fn finds_uncounted_keys_when_wait_ends() {
    let fetching = Fake::new();
    check(&fetching, "", Ok(()));
    let mut fetched = fetching.documents.borrow().clone();
    fetched.retain(|name, _| name.starts_with("keys/"));
    let waiting = Fake::new();
    waiting.leases.replace(fetching.leases.borrow().clone());
    let act: Act = Box::new(move |fake: &Fake| {
        fake.documents.replace(fetched.clone());
    });
    waiting.while_waiting.replace(Some(act));
    check(&waiting, "", Ok(()));
    assert_eq!(waiting.count("pause"), 100);
}
