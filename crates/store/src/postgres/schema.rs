//! The versions of the schema. Migrations only go forward, and run outside the component.

/// The version that this crate's statements need.
pub const SCHEMA_VERSION: u64 = 1;
/// `MIGRATIONS[n]` leads from version n to n + 1.
pub const MIGRATIONS: [&str; 1] = [include_str!("migration-1.sql")];
/// Reads the version of the schema, and the oldest version whose running programs may go on using it.
pub const VERSIONS_READ: &str = "SELECT (SELECT value FROM meta WHERE name = 'schema'), \
    (SELECT value FROM meta WHERE name = 'schema_oldest')";
/// Records that the schema has version $1, and that programs of version $2 may go on using it.
pub const VERSIONS_WRITE: &str = "INSERT INTO meta (name, value) VALUES ('schema', $1), ('schema_oldest', $2) \
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";
/// Makes the partitions of the audit records of the next months.
pub const CREATE_PARTITIONS: &str = "SELECT create_partitions($1)";
