use proptest::prelude::*;

use super::*;

/// The refusal of a text: what is underlined, the message, and the hint.
fn refusal(text: &str) -> (String, String, String) {
    let error = parse(text).expect_err(text);
    (text[error.span].to_owned(), error.message, error.hint.unwrap_or_default())
}

#[test]
fn a_refusal_says_where_and_what_would_be_right() {
    for (text, place, message, hint) in [
        ("", "", "there is no expression", ""),
        ("rat(x[5m])", "rat", "unknown function \"rat\"", "did you mean `rate`?"),
        ("up{job=~\"(\"}", "\"(\"", "\"(\" is not a regular expression", "regex parse error"),
        (
            "rate(x)",
            "x",
            "expected range vector for function rate(), got instant vector",
            "give it a range, as in x[5m]",
        ),
        ("abs(x[5m])", "x[5m]", "expected instant vector for function abs(), got range vector", ""),
        ("vector(up)", "up", "expected scalar for function vector(), got instant vector", "write scalar(up)"),
        (
            "rate(x[5m], 1)",
            "rate(x[5m], 1)",
            "wrong number of arguments for function rate(): expected 1, got 2",
            "",
        ),
        ("1 > 2", ">", "comparisons between scalars must use the bool modifier", "write > bool"),
        ("x and 1", "and", "set operator \"and\" not allowed in binary scalar expression", ""),
        ("x + bool y", "bool", "the bool modifier can only be used on comparison operators", ""),
        (
            "{}",
            "{}",
            "a selector must contain at least one matcher that does not match the empty text",
            "name a metric",
        ),
        ("system.cpu.time", ".", "unexpected character '.'", ""),
        ("sum(x", "", "unexpected end of the expression, expected \",\"", ""),
        ("x[5m", "", "unexpected end of the expression, expected \"]\"", ""),
        ("x[5 minutes]", "minutes", "unexpected \"minutes\", expected \"]\"", ""),
        ("x[5min]", "5min", "\"5min\" is neither a number nor a duration", "write a number as in 1.5e3"),
        ("x[300y]", "300y", "a duration must be between 0 and 292 years", ""),
        ("x offset 1e300", "1e300", "a duration must be between 0 and 292 years", ""),
        ("x @ 1e10", "1e10", "the time of @ is further than 292 years from 1970", ""),
        ("x @ NaN", "NaN", "unexpected \"NaN\", expected a Unix time", ""),
        ("sum(x)[5m]", "[5m]", "ranges are only allowed for selectors", "write a subquery"),
        ("sum(x) offset 5m", "offset 5m", "the offset modifier must be preceded by", ""),
        ("x offset 5m[1h]", "[1h]", "no modifiers allowed before a range", "write x[5m] offset 1h"),
        ("\"a", "\"a", "the string is not closed", ""),
        ("{a=\"\\d\"}", "\\d", "unknown escape sequence \\d", "write a backslash as \\\\"),
        ("a{\"b\"}", "\"b\"", "the metric is named twice: \"a\" and \"b\"", ""),
        (
            "x * on (a) group_left (a) y",
            "group_left (a)",
            "label \"a\" must not occur in both on and group",
            "",
        ),
        ("sum by (a:b) (x)", "a:b", "this is not the name of a label", ""),
        ("sum(x[5m])", "x[5m]", "expected instant vector for aggregation sum, got range vector", ""),
        (
            "quantile(x)",
            "quantile(x)",
            "wrong number of arguments for aggregation quantile: expected 2, got 1",
            "",
        ),
        ("foo bar", "bar", "unexpected \"bar\", expected an operator or the end", ""),
    ] {
        let (found_place, found_message, found_hint) = refusal(text);
        assert_eq!(found_place, place, "{text}: {found_message}");
        assert!(found_message.starts_with(message), "{text}: {found_message}");
        assert!(
            found_hint.starts_with(hint) && found_hint.is_empty() == hint.is_empty(),
            "{text}: {found_hint}"
        );
    }
}

#[test]
fn what_prometheus_knows_and_we_do_not_is_refused_by_name() {
    for (text, what) in [
        ("info(x)", "function info() is"),
        ("rate(x[5m] smoothed)", "anchored and smoothed selectors are"),
        ("x </ 5", "trimming of native histograms is"),
        ("{a=\"\\xff\"}", "strings that are not UTF-8 are"),
    ] {
        assert_eq!(refusal(text).1, format!("{what} not supported yet"), "{text}");
    }
}

#[test]
fn durations_are_computed_as_far_as_they_can_be() {
    for (text, printed) in [
        ("x[2m * 5]", "x[10m]"),
        ("x[1h / 2 - -30m ^ 0]", "x[30m1s]"),
        ("x[61:(5s + 5s)]", "x[1m1s:10s]"),
        ("x offset (1) + 5m * 2", "x offset 10m1s"),
        ("x offset -(1m) + 1", "x offset -1m + 1"),
        ("x offset 1m + 1", "x offset 1m + 1"),
        ("x offset step() * 2", "x offset +(step()) * 2"),
        ("x[max_of(STEP(), 1m) % 7]", "x[(max_of(step(), 60) % 7)]"),
    ] {
        assert_eq!(parse(text).unwrap().to_string(), printed, "{text}");
    }
    for (text, message) in [
        ("x[1m - 60]", "a duration must be greater than 0"),
        ("x[1m / 0]", "division by zero"),
        ("x[5 % (1 - 1)]", "modulo by zero"),
        ("x[0.0001]", "a duration must be at least a millisecond"),
        ("x[2 ^ 1024]", "a duration is NaN or infinite"),
        ("x[(1m]", "unexpected \"]\", expected \")\""),
        ("x[foo()]", "unexpected \"foo\", expected a duration, a number of seconds, step() or range()"),
    ] {
        assert_eq!(refusal(text).1, message, "{text}");
    }
    let long = format!("x[step(){}]", "+1".repeat(20_000));
    assert_eq!(refusal(&long).1, "the durations have more than 500 operators");
    let deep = format!("x[{}1{}]", "(".repeat(200), ")".repeat(200));
    assert_eq!(refusal(&deep).1, "the expression nests deeper than 100 levels");
}

#[test]
fn operators_bind_as_in_prometheus() {
    for (text, with_parentheses) in [
        ("a or b and c", "a or (b and c)"),
        ("a and b unless c", "(a and b) unless c"),
        ("a == b + c * d ^ e", "a == (b + (c * (d ^ e)))"),
        ("a ^ b ^ c", "a ^ (b ^ c)"),
        ("a - b - c", "(a - b) - c"),
        ("-a ^ b", "-(a ^ b)"),
        ("-a * b", "(-a) * b"),
        ("a % b atan2 c", "(a % b) atan2 c"),
        ("a offset 5m + b", "(a offset 5m) + b"),
    ] {
        let flat = |text| parse(text).map(strip).unwrap().to_string();
        assert_eq!(flat(text), flat(with_parentheses));
    }
}

/// Marks every operator, so that trees can be compared whatever parentheses they were written with.
fn strip(expr: Expr) -> Expr {
    let kind = match expr.kind {
        ExprKind::Paren(inner) => return strip(*inner),
        ExprKind::Unary(negative, inner) => ExprKind::Unary(negative, Box::new(wrap(*inner))),
        ExprKind::Binary(mut binary) => {
            binary.left = wrap(binary.left);
            binary.right = wrap(binary.right);
            ExprKind::Binary(binary)
        }
        kind => kind,
    };
    Expr { kind, span: expr.span }
}

fn wrap(expr: Expr) -> Expr {
    let inner = strip(expr);
    Expr { span: inner.span.clone(), kind: ExprKind::Paren(Box::new(inner)) }
}

#[test]
fn keywords_are_names_where_a_name_is_meant() {
    for text in ["sum", "by{on=\"x\"}", "sum by (by, on, offset) (count)", "bool == offset", "start + end"] {
        assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
    }
}

#[test]
fn nesting_and_length_have_limits() {
    let deep = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&deep(MAX_DEPTH - 2)).is_ok());
    for text in [deep(MAX_DEPTH + 1), deep(20_000), format!("1{}", "+1".repeat(MAX_DEPTH)), "-".repeat(5_000)]
    {
        assert_eq!(refusal(&text).1, "the expression nests deeper than 100 levels");
    }
    let long = format!("\"{}\"", "x".repeat(MAX_LENGTH));
    assert_eq!(parse(&long).unwrap_err().message, "the expression is longer than 65536 bytes");
}

#[test]
fn matchers_and_regular_expressions_have_limits() {
    let selector = |matchers: usize| format!("x{{{}}}", vec!["a=~\"b\""; matchers].join(","));
    assert!(parse(&selector(63)).is_ok());
    assert_eq!(refusal(&selector(4_000)).1, "the selector has more than 64 matchers");
    assert!(parse(&format!("{} or {}", selector(50), selector(50))).is_ok());
    let too_many = "the expression has more than 100 regular expressions";
    assert_eq!(refusal(&format!("{} or {}", selector(50), selector(51))).1, too_many);
    let replaced = r#"label_replace(x,"a","$1","b",".{0,400}x")"#;
    let pairs = format!("({replaced} or {replaced})");
    assert_eq!(refusal(&vec![pairs; 51].join(" or ")).1, too_many);
}

#[test]
fn a_long_expression_may_not_be_evaluated_at_many_steps() {
    let too_many = "the subquery has too many steps for so long an expression";
    let sum = |operands: usize| vec!["1"; operands].join("+");
    for (text, fits) in [
        ("max_over_time(rate(x[5m])[1y:1m])".to_owned(), true),
        ("sum_over_time(nothing[1y:1ms])".to_owned(), true),
        (format!("sum_over_time(vector({})[1d:1s])", sum(90)), true),
        (format!("sum_over_time(vector({})[1w:1s])", sum(90)), false),
        (format!("sum_over_time(sum_over_time(vector({})[1h:1s])[1h:1s])", sum(3)), false),
        (format!("sum_over_time(vector({})[1y:])", sum(90)), false),
        (format!("sum_over_time(vector({})[1y:5m])", sum(90)), true),
    ] {
        match parse(&text) {
            Ok(_) => assert!(fits, "{text}"),
            Err(error) => assert_eq!((error.message.as_str(), fits), (too_many, false), "{text}"),
        }
    }
}

#[test]
fn a_refusal_quotes_no_more_than_a_line() {
    let long = "x".repeat(20_000);
    for text in [
        format!("up {long}"),
        format!("{long}()"),
        format!("1{long}"),
        format!("{{\"{long}\", \"{long}\"}}"),
        format!("a * on({long}) group_left({long}) b"),
        format!("up{{a=~\"({long}\"}}"),
        format!("rate({long})"),
        format!("vector({long})"),
        format!("{{a=~\"{long}(\"}}"),
    ] {
        let (_, message, hint) = refusal(&text);
        assert!(message.chars().count() < 300, "{message}");
        assert!(hint.chars().count() < 200, "{hint}");
    }
}

/// Texts of instant vectors.
fn vectors() -> impl Strategy<Value = String> {
    let shift = prop::sample::select(vec![
        "",
        " offset 5m",
        " offset -1h30m",
        " @ 12.5",
        " @ end() offset 3",
        " offset +(step() * -2 ^ 2)",
        " offset -max_of(range(), 1m)",
    ]);
    let selector = prop::sample::select(vec![
        "up",
        "a:b",
        "{\"system.cpu.time\", \"cpu.mode\"=\"id\\\"le\"}",
        "x{a=~\"b|c\", d!=\"\\n\", e!~'f'}",
        "{a=\"b\",}",
    ]);
    let leaf = (selector, shift.clone()).prop_map(|(selector, shift)| format!("{selector}{shift}"));
    leaf.prop_recursive(6, 40, 3, move |inner| {
        let op = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "^", "atan2", "==", "> bool", "and", "or", "unless",
        ]);
        let matching = prop::sample::select(vec!["", " on (a, \"b.c\")", " ignoring ()"]);
        let aggregation = prop::sample::select(vec!["sum", "avg by (a)", "max without (\"a b\", c)"]);
        let number = prop::sample::select(vec!["1", "-2.5e-7", "Inf", "NaN", "0x1F", "1h", "017", "1e300"]);
        prop_oneof![
            (inner.clone(), op.clone(), matching, inner.clone())
                .prop_map(|(a, op, m, b)| format!("{a} {op}{m} {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} * on (x) group_left (y) {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} / fill (-1.5) ({b})")),
            (inner.clone(), number.clone()).prop_map(|(a, n)| format!("({n} + {a} - {n})")),
            (aggregation, inner.clone()).prop_map(|(op, a)| format!("{op} ({a})")),
            (number, inner.clone()).prop_map(|(n, a)| format!("topk by (a) ({n}, {a})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            inner.clone().prop_map(|a| format!("+{a}")),
            (inner.clone(), shift.clone())
                .prop_map(|(a, s)| format!("rate(({a})[step() % 3 + 1h:5m * 2]{s})")),
            inner.clone().prop_map(|a| format!("label_replace({a}, \"a\", '$1', `b`, \"(.*)\")")),
            shift.clone().prop_map(|s| format!("quantile_over_time(scalar(up), x[90]{s})")),
        ]
    })
}

proptest! {
    #[test]
    fn a_printed_expression_reads_back_as_itself(text in vectors()) {
        let expr = parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        let printed = expr.to_string();
        prop_assert_eq!(parse(&printed), Ok(expr), "{} printed as {}", text, printed);
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_every_place_is_in_the_text(text in "[a-z0-9(){}\\[\\]\"'`=~!<>+*/^%@:,. \\\\é-]{0,40}") {
        if let Err(error) = parse(&text) {
            prop_assert!(text.get(error.span.clone()).is_some(), "{:?} in {text:?}", error.span);
        }
    }
}
