//! Command lines without their secrets.
//!
//! Programs take passwords in many ways, so this errs towards hiding: what follows a word that names a secret is masked
//! to the end of its argument, and so is whatever stands behind `-p`. A secret that nothing announces is not found.

/// A longer command line is cut.
const LONGEST_BYTES: usize = 1024;

const MASK: &str = "***";

/// Parts of keys whose value is a secret, wherever they stand in the key.
const SECRET_PARTS: [&str; 16] = [
    "password",
    "passwd",
    "passphrase",
    "passin",
    "passout",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "access-key",
    "access_key",
    "credential",
    "authorization",
    "cookie",
];

/// Words of keys whose value is a secret, as words of their own.
const SECRET_WORDS: [&str; 6] = ["pass", "auth", "key", "pw", "pat", "requirepass"];

/// Options that begin as `-pPASSWORD` does and are none.
const PASSWORD_OPTIONS: [&str; 8] =
    ["-pass", "-passin", "-passout", "-passphrase", "-passwd", "-password", "-pw", "-pwd"];

/// How keys and tokens that are secret by themselves begin.
const SECRET_BEGINNINGS: [&str; 14] = [
    "eyJ",
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xox",
    "sk-",
    "sk_live_",
    "-----BEGIN",
];

/// What the arguments, which NULs end, say together; `None` of a process that has none.
pub(crate) fn masked(arguments: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(arguments);
    let text = text.trim_end_matches('\0');
    if text.is_empty() {
        return None;
    }
    let mut line = String::new();
    let mut next = Next::Shown;
    for argument in text.split('\0') {
        if !line.is_empty() {
            line.push(' ');
        }
        next = push_argument(&mut line, argument, next);
        if line.len() > LONGEST_BYTES {
            line.truncate(line.floor_char_boundary(LONGEST_BYTES));
            break;
        }
    }
    Some(line)
}

/// What is shown of what comes next.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    Shown,
    Hidden,
    /// A user's name, and a password after a colon.
    UpToColon,
}

fn push_argument(line: &mut String, argument: &str, mut next: Next) -> Next {
    // An option that stands where a secret or a name should be: the one before needs none.
    if argument.starts_with("--") {
        next = Next::Shown;
    }
    if next == Next::Hidden {
        line.push_str(MASK);
        return Next::Shown;
    }
    for word in argument.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        match next {
            Next::Hidden => {
                line.push_str(MASK);
                next = Next::Shown;
            }
            Next::UpToColon if matches!(word_of(bare), Word::Shown) => {
                let (user, password) = bare.split_once(':').unwrap_or((bare, ""));
                line.push_str(user);
                if !password.is_empty() {
                    line.push(':');
                    line.push_str(MASK);
                }
                next = Next::Shown;
            }
            Next::Shown | Next::UpToColon => match word_of(bare) {
                Word::Shown => line.push_str(bare),
                Word::Announces(what) => {
                    line.push_str(bare);
                    next = what;
                }
                Word::HiddenFrom(from, what) => {
                    line.push_str(bare.get(..from).unwrap_or(""));
                    line.push_str(MASK);
                    return what;
                }
                Word::HiddenWithin(from, to) => {
                    line.push_str(bare.get(..from).unwrap_or(""));
                    line.push_str(MASK);
                    line.push_str(bare.get(to..).unwrap_or(""));
                }
            },
        }
        line.push_str(word.get(bare.len()..).unwrap_or(""));
    }
    next
}

/// What a word is.
enum Word {
    Shown,
    /// What follows is (partly) a secret.
    Announces(Next),
    /// From here to the end of the argument it is a secret, and what follows may be one.
    HiddenFrom(usize, Next),
    HiddenWithin(usize, usize),
}

fn word_of(word: &str) -> Word {
    let is_option = word.starts_with('-');
    let mut key_from = 0;
    for (at, separator) in word.match_indices(['=', ':', '?', '&', ';', ',']) {
        let key = word.get(key_from..at).unwrap_or("");
        if matches!(separator, "=" | ":") && is_secret(key) {
            return Word::HiddenFrom(at + separator.len(), Next::Shown);
        }
        key_from = at + separator.len();
    }
    if let Some(from) = SECRET_BEGINNINGS.iter().filter_map(|beginning| token_at(word, beginning)).min() {
        return Word::HiddenFrom(from, Next::Shown);
    }
    if let Some((from, to)) = password_in_address(word) {
        return Word::HiddenWithin(from, to);
    }
    match word {
        "-p" => Word::Announces(Next::Hidden),
        "-u" | "-U" | "--user" | "--proxy-user" => Word::Announces(Next::UpToColon),
        _ if PASSWORD_OPTIONS.contains(&word) => Word::Announces(Next::Hidden),
        // A password that happens to hold such a word, or an option that names one: nobody can tell.
        _ if word.starts_with("-p") && key_from == 0 && is_secret(word) => Word::HiddenFrom(2, Next::Hidden),
        _ if word.starts_with("-p") => Word::HiddenFrom(2, Next::Shown),
        _ if key_from == 0 && is_option && is_secret(word) => Word::Announces(Next::Hidden),
        _ if is_scheme_of_authorization(word) => Word::Announces(Next::Hidden),
        _ => Word::Shown,
    }
}

fn is_scheme_of_authorization(word: &str) -> bool {
    let word = word.trim_start_matches(['"', '\'']);
    word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic")
}

/// Whether the value of this key, option or variable is a secret. A file that holds one is none.
fn is_secret(key: &str) -> bool {
    let key = key.trim_matches(['-', '"', '\'', '{', ' ']).to_ascii_lowercase();
    if ["file", "path", "dir"].iter().any(|end| key.ends_with(end)) {
        return false;
    }
    SECRET_PARTS.iter().any(|part| key.contains(part))
        || key.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| SECRET_WORDS.contains(&word))
}

/// Where a token that begins so stands in a word: at its beginning, or behind something that ends a name.
fn token_at(word: &str, beginning: &str) -> Option<usize> {
    let mut found = word.match_indices(beginning).map(|(at, _)| at);
    found.find(|at| {
        let before = word.get(..*at).and_then(|before| before.chars().next_back());
        let length = word.len() - at;
        before.is_none_or(|before| !before.is_ascii_alphanumeric()) && length >= 12
    })
}

/// Where the password stands in `scheme://user:password@host` and `user:password@host`, or a long name of a user, which
/// is a token.
fn password_in_address(word: &str) -> Option<(usize, usize)> {
    let scheme = word.find("://").map(|at| at + "://".len());
    let from = scheme.unwrap_or(0);
    let end = from + word.get(from..)?.rfind('@')?;
    let colon = word.get(from..end)?.find(':').map(|at| from + at + 1);
    match colon {
        Some(colon) if colon < end => Some((colon, end)),
        None if scheme.is_some() && end - from >= 20 => Some((from, end)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(arguments: &[&str]) -> String {
        masked(arguments.join("\0").as_bytes()).unwrap_or_default()
    }

    #[test]
    fn what_is_no_secret_is_told() {
        for line in [
            "/usr/sbin/nginx -g daemon on; master_process on;",
            "java -Xmx2g -cp /srv/app.jar com.example.Main --server.port=8080",
            "sshd: root@pts/0",
            "curl --output /tmp/x https://user@example.com/a?page=2",
            "hostmend run --config /etc/hostmend/hostmend.yaml",
            "consul agent --token-file=/run/token -data-dir=/var/lib",
            "git clone git@example.com:web.git",
        ] {
            assert_eq!(told(&line.split(' ').collect::<Vec<_>>()), line);
        }
        assert_eq!(masked(b""), None);
        assert_eq!(masked(b"\0\0"), None);
    }

    #[test]
    fn secrets_are_masked_however_they_are_given() {
        for (arguments, expected) in [
            (&["mysql", "--password=hush", "-h", "db"][..], "mysql --password=*** -h db"),
            (&["mysql", "--password", "hush hush", "db"], "mysql --password *** db"),
            (&["mysql", "-phush", "db"], "mysql -p*** db"),
            (&["sshpass", "-p", "hush", "ssh"], "sshpass -p *** ssh"),
            (&["env", "DB_PASSWORD=hush hush", "run"], "env DB_PASSWORD=*** run"),
            (&["env", "AWS_SECRET_ACCESS_KEY=hush"], "env AWS_SECRET_ACCESS_KEY=***"),
            (&["sh", "-c", "PASSWORD='hush hush' run -x"], "sh -c PASSWORD=***"),
            (&["psql", "postgres://web:hush@db/web"], "psql postgres://web:***@db/web"),
            (&["psql", "postgres://web:hu/sh@db/web"], "psql postgres://web:***@db/web"),
            (&["dsn", "web:hush@tcp(db:3306)/web"], "dsn web:***@tcp(db:3306)/web"),
            (
                &["git", "clone", "https://0123456789abcdefhush@example.com/x"],
                "git clone https://***@example.com/x",
            ),
            (&["curl", "-u", "web:hush", "x"], "curl -u web:*** x"),
            (&["curl", "-H", "Authorization: Bearer hush"], "curl -H Authorization:***"),
            (&["curl", "-H", "X: Bearer hush"], "curl -H X: Bearer ***"),
            (&["curl", "https://x/?a=1&api_key=hush&b=2"], "curl https://x/?a=1&api_key=***"),
            (&["curl", "-d", "{\"token\":\"hush\"}"], "curl -d {\"token\":***"),
            (&["openssl", "-passin", "pass:hush"], "openssl -passin ***"),
            (&["redis-server", "--requirepass", "hush"], "redis-server --requirepass ***"),
            (&["x", "ghp_0123456789hush"], "x ***"),
            (&["mysql", "-pPWDhush"], "mysql -p***"),
            (&["x", "-proxyPassword", "hush"], "x -p*** ***"),
            (&["x", "--no-password", "--host", "db"], "x --no-password --host db"),
            (&["x", "-Dspring.datasource.password=hush"], "x -Dspring.datasource.password=***"),
        ] {
            assert_eq!(told(arguments), expected);
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = told(&["x", &"\u{e4}".repeat(5000)]);
        assert!(line.len() <= LONGEST_BYTES && line.len() > LONGEST_BYTES - 4, "{}", line.len());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_grow_without_bound(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(masked(&bytes).is_none_or(|line| line.len() <= LONGEST_BYTES));
        }

        #[test]
        fn what_is_announced_never_survives(
            key in prop::sample::select(vec!["--password=", "API_TOKEN=", "-p", "https://u:", "x --secret=", "{\"token\": \""]),
            secret in "[A-Z0-9]{8,20}",
            before in prop::collection::vec("[a-z/.-]{0,8}", 0..4),
        ) {
            let after = if key.ends_with("u:") { "@host" } else { "" };
            let mut arguments = before;
            arguments.push(format!("{key}{secret}{after}"));
            let line = masked(arguments.join("\0").as_bytes()).unwrap();
            prop_assert!(!line.contains(&secret), "{line}");
        }
    }
}
