//! Black-box tests of the broker, the gateway and the commands, over HTTP and PKCS#11.
//!
//! Run `scripts/build-components && cargo build` first.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may panic"
)]

/// Commands that need a running broker, or that set one up.
mod cli {
    pub mod command;
    mod doctor;
    mod install;
    mod verify;
}

/// One token exchange: refusals and issued tokens.
mod exchange {
    pub mod chaining;
    pub mod claims;
    pub mod client_address;
    mod concurrency;
    pub mod deadline;
    pub mod delegation;
    pub mod denial_limit;
    mod hostile_json;
    mod issued_tokens;
    pub mod jws_header;
    pub mod jwt_syntax;
    mod proof_races;
    pub mod proofs;
    pub mod requests;
    pub mod views;
}

/// The gateway and the HSM behind it.
mod hsm {
    pub mod tiers;

    /// Commands of operators and admins, and what they observe.
    pub mod ops {
        mod admins;
        mod diagnostics;
        pub mod emergency_rotation;
        pub mod gateway;
        mod latency;
        mod log_file;
        mod metrics;
    }

    /// Failures of workers, gateways, modules, clocks and disks.
    pub mod outages {
        mod chaos;
        pub mod recovery;
    }

    /// Key operations that overlap or are interrupted.
    pub mod races {
        mod torn_operations;
        pub mod two_gateways;
    }

    /// Replacement of an HSM key.
    pub mod rollout {
        mod canary;
        mod canary_watch;
        pub mod key_versions;
    }

    /// What an attacker gains from a credential, from access to the HSM, or as an issuer.
    pub mod security {
        mod credential_limits;
        mod issuer_requests;
        mod key_extraction;
        mod root_pinning;
        pub mod stolen_credential;
    }
}

/// HTTP other than exchanges.
mod http {
    mod documents;
    mod malformed;
    mod metrics;
    mod readiness;
    mod request_log;
    mod start;
}

/// Fetching and caching the key sets of issuers.
mod issuers {
    mod credentials;
    mod key_cache;
    mod key_lifetime;
    mod proxy;
    mod tls;
    pub mod unavailable;
    mod unreachable;
}

/// Epoch keys and what the signer signs with them.
mod keys {
    mod case_folding;
    mod epochs;
    pub mod hostile_broker;
}

/// Loading bundles and deciding with them.
mod policy {
    mod decisions;
    mod loading;
    pub mod providers;
    mod reload;
}

/// Completeness of lists in documentation and source.
mod repository {
    mod cited_tests;
    mod error_slugs;
}

/// Revocation and introspection with the broker's own tokens.
mod revocation {
    pub mod administrators;
    pub mod bound_tokens;
    mod clients;
    mod forward_auth;
    mod introspection;
    mod published;
    mod races;
    pub mod scene;
    mod status_lists;
    mod token_holders;
}

/// The database: single use, records, crashes and disk space.
mod store {
    mod crashes;
    mod disk_space;
    mod log;
    mod log_crashes;
    mod postgres;
    mod postgres_audit;
    pub mod records;
    mod restored_database;
    pub mod single_use;
    mod single_use_races;
}
