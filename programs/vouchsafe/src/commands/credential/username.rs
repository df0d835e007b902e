//! User names beside a token.

/// A user name that needs no quoting in any of the formats.
pub fn parse(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~<>@+".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_allowed) {
        true => Ok(text.to_owned()),
        false => Err("must consist of letters, digits and `-._~<>@+`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_name_is_one_word() {
        for (name, expected) in [
            ("x-access-token", true),
            ("<token>", true),
            ("a@b", true),
            ("", false),
            ("a:b", false),
            ("a\npassword=x", false),
            ("a b", false),
            ("ä", false),
        ] {
            assert_eq!(parse(name).is_ok(), expected, "{name:?}");
        }
    }
}
