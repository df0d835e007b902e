//! Before and after: two versions measured alternately in one run, so that the machine is the same for both.

use crate::broker::Site;
use crate::issuer::Issuer;
use crate::load::Arrivals;
use crate::{Options, Outcome, Row, heading, pool, warm};
use std::path::Path;
use vouchsafe_harness::broker::repository;

/// Rounds, of which the best of each version counts: whatever else runs on the machine only slows things down.
const ROUNDS: usize = 3;
const CONNECTIONS: usize = 16;

/// The best figures of one version.
struct Best {
    per_second: f64,
    cpu_us: f64,
}

/// Measures the closed loop with `site` and with `other`, which is a `vouchsafe` or a checkout with one that was
/// built, and prints the ratios.
pub fn run(site: &Site, other: &Path, issuer: &Issuer, options: &Options) -> Outcome<()> {
    let before = if other.is_dir() {
        // With its own manifest, components and bundle.
        Site::new(other, other.join("target/release/vouchsafe"), issuer)?
    } else {
        Site::new(&repository(), other.to_path_buf(), issuer)?
    };
    let pool = pool(issuer, options)?;
    let mut best = [Best::NONE, Best::NONE];
    heading();
    for _ in 0..ROUNDS {
        for (best, (name, site)) in best.iter_mut().zip([("before", &before), ("after", site)]) {
            best.improve(name, site, &pool, options)?;
        }
    }
    let [before, after] = best;
    println!(
        "\nafter / before: CPU per exchange {:.0} us / {:.0} us = {:.3}, exchanges per second {:.0} / {:.0} = {:.3} \
         (best of {ROUNDS} rounds)",
        after.cpu_us,
        before.cpu_us,
        after.cpu_us / before.cpu_us,
        after.per_second,
        before.per_second,
        after.per_second / before.per_second
    );
    Ok(())
}

impl Best {
    const NONE: Self = Self { per_second: 0.0, cpu_us: f64::INFINITY };

    fn improve(&mut self, name: &str, site: &Site, pool: &[Vec<u8>], options: &Options) -> Outcome<()> {
        let broker = site.start("allow", &[])?;
        warm(&broker, pool)?;
        let arrivals = Arrivals::Closed { connections: CONNECTIONS };
        let seen = Row::of(name, &broker, pool, options).measure(arrivals)?;
        self.per_second = self.per_second.max(seen.per_second);
        self.cpu_us = self.cpu_us.min(seen.cpu_us);
        Ok(())
    }
}
