//! A template is refused with a place inside it, or expands to a text that is not too long, whatever it says.
#![no_main]

use alerting::{Externals, Scene, Template};
use telemetry::{Labels, Timestamp};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => {
            assert!(text.get(error.span).is_some());
            return;
        }
    };
    let labels: Labels = [("__name__", "disk_free"), ("device", "sda1"), ("size", "2048")].into_iter().collect();
    let mut ask = |expression: &str| match expression {
        "none" => Err("there is none".to_owned()),
        _ => Ok(vec![(labels.clone(), 1.5), (Labels::empty(), f64::NAN)]),
    };
    let expanded = template.expand(&mut Scene {
        rule: "A",
        at: Timestamp::from_secs(1),
        labels: &labels,
        value: 0.25,
        externals: &Externals::default(),
        ask: &mut ask,
    });
    assert!(expanded.len() < 128 * 1024);
});
