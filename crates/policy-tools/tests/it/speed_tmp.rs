use vouchsafe_policy::{Environment, folder};
use vouchsafe_policy_tools::lint;
#[test]
fn speed_of_many_rules() {
    for name in ["b1k", "b10k"] {
        let files = folder::read(std::path::Path::new("/tmp/lintbench").join(name).as_path()).expect("read");
        let environment =
            Environment { issuer: "https://broker.example".to_owned(), development: false, epoch_seconds: 3600 };
        let start = std::time::Instant::now();
        let report = lint::check(&files, &environment);
        println!(
            "SPEED {name} check {:?} warnings {} errors {}",
            start.elapsed(),
            report.warnings.len(),
            report.errors.len()
        );
    }
}
