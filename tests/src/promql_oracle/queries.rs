//! Queries by a grammar: selectors, ranges, offsets, `@`, subqueries, every function of the table, aggregations, and
//! binary operators with their matching.

use promql::ast::{AggregateOp, ValueType};
use promql::functions::{Arity, Eval, FUNCTIONS, Function};

use super::engine::Question;
use super::random::Random;
use super::stored::LENGTH;

const DEPTH: usize = 4;

const LABELS: [&str; 6] = ["job", "instance", "mode", "le", "none", "__name__"];

pub(super) struct Queries {
    random: Random,
}

impl Queries {
    pub(super) fn new(random: Random) -> Self {
        Self { random }
    }

    pub(super) fn question(&mut self) -> Question {
        let second = 1_000;
        let mut start = self.random.below(LENGTH as usize + 600_000) as i64;
        if self.random.one_in(2) {
            start = start / (15 * second) * 15 * second;
        }
        let (mut end, mut step) = (start, 0);
        if self.random.one_in(3) {
            step = self.random.pick(&[1, 7, 15, 60, 300]) * second;
            end = start + step * self.random.below(20) as i64 + self.random.below(900) as i64;
        }
        let expr = match self.random.below(20) {
            0 if step == 0 => self.range(DEPTH),
            1 => self.scalar(DEPTH),
            _ => self.vector(DEPTH),
        };
        Question { series: Vec::new(), expr, start, end, step }
    }

    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.selector() + self.shift().as_str();
        }
        let inner = depth - 1 - self.random.below(depth);
        match self.random.below(12) {
            0 | 1 => self.selector() + self.shift().as_str(),
            2..=4 => self.call(ValueType::Vector, inner),
            5 => format!("{}({})", self.random.pick(&["-", "+", ""]), self.vector(inner)),
            6..=8 => self.aggregation(inner),
            _ => self.binary(inner),
        }
    }

    fn selector(&mut self) -> String {
        let name = self.random.pick(&[
            "requests_total",
            "errors_total",
            "queue",
            "temperature",
            "odd",
            "limits",
            "lonely",
            "latency_bucket",
            "nothing",
            r#"{"system.cpu.time"}"#,
            r#"{__name__=~"requests_total|queue"}"#,
            r#"{job="api"}"#,
        ]);
        let matcher = self.random.pick(&[
            "",
            "",
            "",
            r#"job="api""#,
            r#"job=~"a.*|x",instance!="10""#,
            r#"mode!~"r.+""#,
            r#"instance="1",mode="read""#,
            r#"none="""#,
        ]);
        match name.strip_suffix('}') {
            _ if matcher.is_empty() => name.to_owned(),
            Some(open) => format!("{open},{matcher}}}"),
            None => format!("{name}{{{matcher}}}"),
        }
    }

    fn shift(&mut self) -> String {
        self.random
            .pick(&[
                "",
                "",
                "",
                "",
                " offset 5m",
                " offset -90s",
                " offset (2 * 1m)",
                " @ 5400",
                " @ start()",
                " @ end() offset 10m",
                " offset step()",
                " offset max_of(step(), 1m)",
            ])
            .to_owned()
    }

    fn range(&mut self, depth: usize) -> String {
        let length =
            self.random.pick(&["1m", "5m", "10m", "1h", "90s", "3 * 1m", "61", "max_of(range(), 4m)"]);
        if depth == 0 || self.random.below(3) > 0 {
            return format!("{}[{length}]{}", self.selector(), self.shift());
        }
        let step = self.random.pick(&["", "15s", "1m", "7s", "2 * 30", "max_of(step(), 20s)"]);
        format!("({})[{length}:{step}]{}", self.vector(depth - 1), self.shift())
    }

    fn scalar(&mut self, depth: usize) -> String {
        let number = self.random.pick(&[
            "0", "1", "2", "-1", "0.5", "0.9", "1e3", "-2.5", "NaN", "Inf", "-Inf", "0.1", "3", "100", "5m",
        ]);
        if depth == 0 {
            return number.to_owned();
        }
        match self.random.below(10) {
            0 | 1 => self.call(ValueType::Scalar, depth - 1),
            2 => format!("scalar({})", self.vector(depth - 1)),
            3 => {
                let op = self
                    .random
                    .pick(&["+", "-", "*", "/", "%", "^", "atan2", "< bool", "== bool", ">= bool"]);
                format!("({} {op} {})", self.scalar(depth - 1), self.scalar(depth - 1))
            }
            _ => number.to_owned(),
        }
    }

    fn call(&mut self, returns: ValueType, depth: usize) -> String {
        let functions: Vec<&Function> = FUNCTIONS.iter().filter(|f| f.returns == returns).collect();
        let function = self.random.pick(&functions);
        match function.name {
            "label_replace" => {
                let target = self.label();
                let replacement = self.random.pick(&["$1", "x", "$2-$1", "", "${1}0"]);
                let regex = self.random.pick(&["(.*)", "(a)(.*)", "api", ".+", "()"]);
                return format!(
                    "label_replace({}, {target:?}, {replacement:?}, {:?}, {regex:?})",
                    self.vector(depth),
                    self.label()
                );
            }
            "label_join" => {
                let target = self.label();
                return format!(
                    "label_join({}, {target:?}, {:?}, {:?}, {:?})",
                    self.vector(depth),
                    self.random.pick(&["-", "", "::"]),
                    self.label(),
                    self.label()
                );
            }
            // Beyond this, the last digit of the argument decides the first of the result, and Go overflows early.
            "sin" | "cos" | "tan" | "sinh" | "cosh" => {
                return format!("{}(clamp({}, -100, 100))", function.name, self.vector(depth));
            }
            _ => {}
        }
        // What a date is of a number that is none depends on Prometheus' machine.
        if matches!(function.eval, Eval::Date(_)) {
            return match self.random.below(3) {
                0 => format!("{}()", function.name),
                1 => format!("{}(timestamp({}))", function.name, self.selector()),
                _ => format!("{}(vector(time() * {}))", function.name, self.random.below(200_000)),
            };
        }
        let declared = function.arguments.len();
        let count = match function.arity {
            Arity::Exact => declared,
            Arity::Optional => declared - self.random.below(2),
            Arity::Repeated | Arity::UpTo(_) => declared - 1 + self.random.below(3),
        };
        let arguments: Vec<String> =
            (0..count).map(|number| self.argument(function, number, depth)).collect();
        format!("{}({})", function.name, arguments.join(", "))
    }

    fn argument(&mut self, function: &Function, number: usize, depth: usize) -> String {
        let wanted = function.arguments.get(number).or(function.arguments.last());
        match wanted.expect("a call with arguments declares them") {
            ValueType::Vector if function.name.starts_with("histogram_") && !self.random.one_in(5) => self
                .random
                .pick(&[
                    "latency_bucket",
                    "rate(latency_bucket[5m])",
                    "sum by (le) (increase(latency_bucket[10m]))",
                    "sum by (le, job) (latency_bucket)",
                    r#"latency_bucket{le!="+Inf"}"#,
                    "latency_bucket * 1e-7",
                ])
                .to_owned(),
            ValueType::Vector => self.vector(depth),
            ValueType::Range => self.range(depth),
            ValueType::String => format!("{:?}", self.label()),
            ValueType::Scalar if function.name == "double_exponential_smoothing" => {
                self.random.pick(&["0.1", "0.5", "0.9", "0.3", "1"]).to_owned()
            }
            ValueType::Scalar => self.scalar(depth),
        }
    }

    fn label(&mut self) -> &'static str {
        self.random.pick(&LABELS)
    }

    fn labels(&mut self) -> String {
        let count = self.random.below(3);
        let labels: Vec<&str> = (0..count).map(|_| self.label()).collect();
        format!("({})", labels.join(", "))
    }

    fn aggregation(&mut self, depth: usize) -> String {
        let (op, keyword) = self.random.pick(&AggregateOp::ALL);
        let grouping = match self.random.below(3) {
            0 => String::new(),
            1 => format!(" by {}", self.labels()),
            _ => format!(" without {}", self.labels()),
        };
        // Which of equal values topk takes, and in which order limitk finds its series, is chance in Prometheus; what
        // differs in the last digit gets another label by count_values.
        let operand = match op {
            AggregateOp::Topk | AggregateOp::Bottomk => self
                .random
                .pick(&["queue", "temperature", "deriv(queue[5m])", "-temperature @ 5400"])
                .to_owned(),
            AggregateOp::Limitk | AggregateOp::CountValues => self.vector(0),
            _ => self.vector(depth),
        };
        let parameter = match op.parameter() {
            None => String::new(),
            Some(ValueType::String) => format!("{:?}, ", self.random.pick(&["value", "job", "mode"])),
            // Prometheus evaluates the parameter once where `@` fixes the operand.
            Some(_) if operand.contains('@') => format!("{}, ", self.scalar(0)),
            Some(_) => format!("{}, ", self.scalar(depth.min(1))),
        };
        format!("{keyword}{grouping} ({parameter}{operand})")
    }

    fn binary(&mut self, depth: usize) -> String {
        let op = self.random.pick(&[
            "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", ">", "<=", ">=", "and", "or", "unless",
        ]);
        let is_set = ["and", "or", "unless"].contains(&op);
        let compares = op.contains(['=', '<', '>']);
        let modifier = if compares && self.random.one_in(3) { " bool" } else { "" };
        if !is_set && self.random.one_in(3) {
            let (vector, scalar) = (self.vector(depth), self.scalar(depth.min(1)));
            let (left, right) = if self.random.one_in(2) { (vector, scalar) } else { (scalar, vector) };
            return format!("({left} {op}{modifier} {right})");
        }
        let left = self.vector(depth);
        // Sides that have nothing in common teach little.
        let right = if self.random.one_in(3) { left.clone() } else { self.vector(depth) };
        let mut matching = match self.random.below(4) {
            0 => format!(" on {}", self.labels()),
            1 => format!(" ignoring {}", self.labels()),
            _ => String::new(),
        };
        if !is_set && !matching.is_empty() && self.random.one_in(2) {
            matching += self.random.pick(&[" group_left ", " group_right "]);
            matching += self.random.pick(&["", "(mode)", "(none, instance)", "()"]);
        }
        if !is_set && self.random.one_in(8) {
            matching += self.random.pick(&[
                " fill (0)",
                " fill_left (1)",
                " fill_right (-2)",
                " fill_left (1) fill_right (NaN)",
            ]);
        }
        format!("({left} {op}{modifier}{matching} {right})")
    }
}
