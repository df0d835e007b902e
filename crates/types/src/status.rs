//! Token Status Lists (draft-ietf-oauth-status-list).

/// Most indexes of a status list.
pub const STATUS_LIST_INDEXES: u32 = 16 * 1024;
/// Longest name of a status list: two numbers and a hyphen.
pub const STATUS_LIST_NAME_BYTES_MAX: usize = 41;

/// Where the status of a token is (draft-ietf-oauth-status-list).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReference {
    /// The name of the list.
    pub list: String,
    pub index: u32,
}

/// Whether `name` can be that of a status list: two numbers and a hyphen.
#[must_use]
pub fn is_status_list_name(name: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    name.len() <= STATUS_LIST_NAME_BYTES_MAX
        && name.split_once('-').is_some_and(|(mark, number)| is_number(mark) && is_number(number))
}

/// The URL of a status list of the broker `issuer`.
#[must_use]
pub fn status_list_url(issuer: &str, name: &str) -> String {
    format!("{}/status/{name}", issuer.trim_end_matches('/'))
}

/// Consecutive indexes of a status list that nobody else uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusBlock {
    pub list: String,
    pub first: u32,
    pub count: u32,
}

/// The state of a status list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusList {
    pub name: String,
    /// Indexes of revoked tokens, in ascending order.
    pub revoked: Vec<u32>,
}
