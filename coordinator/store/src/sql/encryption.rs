//! Whether what goes between a node and its database can be read on the way.
//!
//! The URL says what is wanted (`sslmode=…`). Where it says nothing, a server on this machine is spoken to without encryption,
//! since nobody is in between; any other is asked whether it can encrypt, and a warning says when that was not insisted on.

/// Whether `host` is this machine: a socket's directory, or a loopback name or address.
pub(crate) fn is_here(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.is_loopback())
}

/// Whether the URL says what is wanted.
pub(crate) fn is_said(url: &str) -> bool {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    parameters
        .split('&')
        .filter_map(|parameter| parameter.split('=').next())
        .any(|name| matches!(name, "sslmode" | "ssl-mode"))
}

/// Whether a connection came to nothing because the two could not agree on how to encrypt, or on who is who.
pub(crate) fn is_why(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        // What is wrong with a certificate.
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// Says that nobody insisted.
pub(crate) fn warn(shown: &str, remedy: &str) {
    tracing::warn!(
        database = shown,
        "the connection to the database may be unencrypted, or to somebody else; add {remedy} to its URL"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told_from_others() {
        for here in ["localhost", "127.0.0.1", "::1", "[::1]", "/run/postgresql"] {
            assert!(is_here(here), "{here}");
        }
        for there in ["db", "10.0.0.1", "localhost.example", ""] {
            assert!(!is_here(there), "{there}");
        }
    }

    #[test]
    fn only_the_mode_says_what_is_wanted() {
        assert!(is_said("postgres://h/d?sslmode=disable"));
        assert!(is_said("mysql://h/d?charset=utf8mb4&ssl-mode=REQUIRED"));
        for silent in [
            "postgres://h/d",
            "postgres://h/sslmode=x",
            "mysql://h/d?ssl-ca=x",
        ] {
            assert!(!is_said(silent), "{silent}");
        }
    }
}
