//! Bundles that don't load.

use vouchsafe_harness::broker::Setup;
use vouchsafe_harness::issuer::Issuer;

/// `serve` rejects a broken bundle at start-up, so that no request ever meets it.
#[test]
fn does_not_start_with_broken_bundle() {
    let issuer = Issuer::honest();
    let setup = Setup::trusting(&issuer);
    std::fs::write(setup.folder.join("policies/rules/broken.cedar"), "permit (principal, action").expect("a file");
    let Err(reason) = setup.try_start() else { panic!("the broker started") };
    let error = reason.lines().find(|line| line.starts_with("error: ")).expect("an error");
    assert!(error.starts_with("error: the application is not ready: policy.unavailable: "), "{reason}");
    assert!(error.contains("broken.cedar"), "{reason}");
}
