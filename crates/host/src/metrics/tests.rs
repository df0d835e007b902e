use super::*;

#[test]
fn unknown_paths_share_one_series() {
    let metrics = Metrics::default();
    metrics.record_request("/token", 200, Duration::from_millis(2));
    metrics.record_request("/wp-admin", 404, Duration::from_millis(1));
    metrics.record_request("/x\"y", 404, Duration::from_millis(1));
    metrics.record_request("/v/aws/.well-known/jwks.json", 200, Duration::from_millis(1));
    metrics.record_request("/v/gcp/.well-known/jwks.json", 200, Duration::from_millis(1));
    metrics.record_outbound("a.example", Some(Cause::Dns));
    metrics.record_outbound("a.example", None);
    let text = metrics.render();
    for line in [
        "vouchsafe_requests_total{route=\"other\",status=\"404\"} 2",
        "vouchsafe_requests_total{route=\"/token\",status=\"200\"} 1",
        "vouchsafe_requests_total{route=\"/v/\",status=\"200\"} 2",
        "vouchsafe_request_duration_seconds_bucket{route=\"/token\",le=\"0.001\"} 0",
        "vouchsafe_request_duration_seconds_bucket{route=\"/token\",le=\"0.002\"} 1",
        "vouchsafe_request_duration_seconds_count{route=\"/token\"} 1",
        "vouchsafe_outbound_total{host=\"a.example\",outcome=\"failed\",cause=\"dns\"} 1",
        "vouchsafe_outbound_total{host=\"a.example\",outcome=\"answered\",cause=\"\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("wp-admin"));
    assert!(!text.contains("vouchsafe_store"), "there is no store");
}

#[test]
fn shows_size_and_free_space_of_store() {
    let path = std::env::temp_dir().join(format!("vouchsafe-size-{}.db", std::process::id()));
    std::fs::write(&path, [0; 4096]).expect("written");
    let metrics = Metrics::default();
    let files = Arc::new(StoreFiles::of(path.clone()));
    assert!(metrics.store.set(files).is_ok());
    let text = metrics.render();
    for lines in [
        "# TYPE vouchsafe_store_bytes gauge\nvouchsafe_store_bytes 4096\n",
        "# TYPE vouchsafe_store_free_bytes gauge\nvouchsafe_store_free_bytes ",
    ] {
        assert!(text.contains(lines), "{lines} is not in\n{text}");
    }
    for name in ["vouchsafe_store_bytes", "vouchsafe_store_free_bytes"] {
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
    std::fs::remove_file(path).expect("removed");
}

#[test]
fn every_metric_has_a_help_text() {
    let metrics = Metrics::default();
    metrics.set_bundle(Some("digest".to_owned()), Vec::new());
    let text = metrics.render();
    let lines: Vec<_> = text.lines().collect();
    let mut families = 0;
    for (at, line) in lines.iter().enumerate() {
        if let Some(name) = line.strip_prefix("# TYPE ").and_then(|line| line.split(' ').next()) {
            assert!(lines[at - 1].starts_with(&format!("# HELP {name} ")), "{line}");
            families += 1;
        }
    }
    assert_eq!(families, text.matches("# HELP ").count());
}

#[test]
fn shows_current_bundle_and_counts_reloads() {
    let metrics = Metrics::default();
    assert!(!metrics.render().contains("vouchsafe_bundle_info"), "no bundle is mounted");
    for (digest, reload) in [("one", Reload::Rejected), ("two", Reload::Loaded), ("three", Reload::Loaded)] {
        metrics.set_bundle(Some(digest.to_owned()), Vec::new());
        metrics.record_reload(reload);
    }
    let text = metrics.render();
    for line in [
        "vouchsafe_bundle_info{digest=\"three\"} 1",
        "vouchsafe_bundle_reloads_total{outcome=\"loaded\"} 2",
        "vouchsafe_bundle_reloads_total{outcome=\"rejected\"} 1",
        "vouchsafe_bundle_reloads_total{outcome=\"unchanged\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert_eq!(text.matches("vouchsafe_bundle_info{").count(), 1);
}

#[test]
fn limits_series_of_exchanges() {
    let metrics = Metrics::default();
    let exchange = |slug: &str| Exchange { slug: slug.to_owned(), issuer: String::new(), audience: String::new() };
    for number in 0..EXCHANGE_SERIES_MAX + 2 {
        metrics.record_exchanges(exchange(&number.to_string()), 1);
    }
    metrics.record_exchanges(exchange("7"), 2);
    let text = metrics.render();
    for (slug, count) in [("7", 3), ("other", 2)] {
        let line = format!("vouchsafe_exchanges_total{{slug=\"{slug}\",issuer=\"\",audience=\"\"}} {count}\n");
        assert!(text.contains(&line), "{line}");
    }
    assert!(!text.contains(&format!("slug=\"{EXCHANGE_SERIES_MAX}\"")));
}
