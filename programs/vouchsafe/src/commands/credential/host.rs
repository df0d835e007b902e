//! Which servers may get a token.

/// A host as tools name it, such as `registry.example` or `127.0.0.1:5000`: in lower case, with its port if that is not
/// the default.
pub fn parse(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_allowed) {
        true => Ok(text.to_owned()),
        false => Err("must be a host such as `registry.example` or `registry.example:5000`".to_owned()),
    }
}

/// Whether `host` is one of `allowed`, exactly: a token for one server must not reach another.
pub fn is_allowed(allowed: &[String], host: &str) -> bool {
    allowed.iter().any(|it| it == host)
}

/// The host of a server as Docker names it: `https://registry.example/v2/` and `registry.example` are the same.
pub fn of_server(server: &str) -> &str {
    let rest = server.strip_prefix("https://").unwrap_or(server);
    rest.split('/').next().unwrap_or(rest)
}

/// The registry of an image. The first part of a name is a host if it has a dot or a port, or is `localhost`.
pub fn of_image(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_hosts_only() {
        for (text, expected) in [
            ("registry.example", true),
            ("registry.example:5000", true),
            ("[::1]:5000", true),
            ("", false),
            ("https://registry.example", false),
            ("registry.example/a", false),
            ("*.example", false),
            ("Registry.example", false),
            ("a@registry.example", false),
        ] {
            assert_eq!(parse(text).is_ok(), expected, "{text}");
        }
    }

    #[test]
    fn compares_hosts_exactly() {
        let allowed = ["registry.example".to_owned()];
        for (server, expected) in [
            ("registry.example", true),
            ("https://registry.example", true),
            ("https://registry.example/v2/", true),
            ("http://registry.example", false),
            ("https://registry.example:443", false),
            ("https://registry.example.evil", false),
            ("https://evil/registry.example", false),
            ("https://registry.example@evil", false),
            ("https://a@registry.example", false),
            ("https://registry.example\n", false),
            ("REGISTRY.example", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(&allowed, of_server(server)), expected, "{server:?}");
        }
    }

    #[test]
    fn finds_the_registry_of_an_image() {
        for (image, expected) in [
            ("registry.example/a/b:1", "registry.example"),
            ("127.0.0.1:5000/a@sha256:00", "127.0.0.1:5000"),
            ("localhost/a", "localhost"),
            ("library/debian", "docker.io"),
            ("debian:12", "docker.io"),
        ] {
            assert_eq!(of_image(image), expected, "{image}");
        }
    }
}
