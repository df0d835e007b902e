//! Host side of Spin's interfaces, generated from the WIT that the components are built against.

/// A guest's open database, by its label.
pub struct Connection {
    pub label: String,
}

/// A guest's connection to a PostgreSQL database.
pub struct PostgresConnection {
    pub address: String,
}

/// What a guest's connection will be made from.
pub struct PostgresBuilder {
    pub address: String,
}

/// A guest's public key.
pub struct VerifyingKey(pub std::sync::Arc<dyn vouchsafe_crypto::VerifyingKey>);

/// A guest's private key.
pub struct SigningKey(pub Box<dyn vouchsafe_crypto::SigningKey>);

wasmtime::component::bindgen!({
    path: ["../../wit/crypto", "../../wit/deps/spin-postgres@4.2.0", "../../wit/deps/spin-sqlite@3.1.0",
           "../../wit/deps/spin-variables@3.0.0", "../../wit/types", "../../wit/store"],
    inline: "
        package vouchsafe:host;
        world imports {
            import spin:postgres/postgres@4.2.0;
            import spin:sqlite/sqlite@3.1.0;
            import spin:variables/variables@3.0.0;
            import vouchsafe:crypto/signatures@0.1.0;
            import vouchsafe:store/log@0.1.0;
            import vouchsafe:store/revocations@0.1.0;
            import vouchsafe:store/state@0.1.0;
        }
    ",
    imports: {
        "spin:postgres/postgres.[static]connection.open": async | trappable,
        "spin:postgres/postgres.[method]connection.query": async | trappable,
        "spin:postgres/postgres.[method]connection.execute": async | trappable,
        "spin:sqlite/sqlite.[static]connection.open": async | trappable,
        "spin:sqlite/sqlite.[method]connection.execute": async | trappable,
        "spin:sqlite/sqlite.[method]connection.last-insert-rowid": async | trappable,
        "spin:sqlite/sqlite.[method]connection.changes": async | trappable,
        default: trappable,
    },
    with: {
        "spin:postgres/postgres.connection": crate::bindings::PostgresConnection,
        "spin:postgres/postgres.connection-builder": crate::bindings::PostgresBuilder,
        "spin:sqlite/sqlite.connection": crate::bindings::Connection,
        "vouchsafe:crypto/signatures.signing-key": crate::bindings::SigningKey,
        "vouchsafe:crypto/signatures.verifying-key": crate::bindings::VerifyingKey,
    },
    require_store_data_send: true,
});

pub use self::spin::postgres::postgres;
pub use self::spin::sqlite::sqlite;
pub use self::spin::variables::variables;
pub use self::vouchsafe::crypto::signatures;
pub use self::vouchsafe::store;
pub use self::vouchsafe::types::types;
