//! The versions of the schema. Migrations only go forward, and run outside the component.

/// The version that this crate's statements need.
pub const SCHEMA_VERSION: u64 = 3;
/// `MIGRATIONS[n]` leads from version n to n + 1.
pub const MIGRATIONS: [&str; 3] =
    [include_str!("migration-1.sql"), include_str!("migration-2.sql"), include_str!("migration-3.sql")];
/// Reads the version of the schema, and the oldest version whose running programs may go on using it.
pub const VERSIONS_READ: &str = "SELECT (SELECT value FROM meta WHERE name = 'schema'), \
    (SELECT value FROM meta WHERE name = 'schema_oldest')";
/// Makes the partitions of the audit records of the next months.
pub const CREATE_PARTITIONS: &str = "SELECT create_partitions($1)";

/// Records that the schema has `version`. Running programs of the version before may go on using it.
#[must_use]
pub fn versions_write(version: u64) -> String {
    let oldest = version.saturating_sub(1).max(1);
    format!(
        "INSERT INTO meta (name, value) VALUES ('schema', {version}), ('schema_oldest', {oldest}) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )
}
