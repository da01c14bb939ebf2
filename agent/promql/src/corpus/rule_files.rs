//! Expressions of published rule files.

use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    expr: String,
}

/// The 76 expressions of `tests/rules`, in order of file and place.
pub(crate) fn expressions() -> Vec<String> {
    let files = [
        include_str!("../../tests/rules/awesome-node-exporter.yml"),
        include_str!("../../tests/rules/node_alerts.yaml"),
        include_str!("../../tests/rules/node_rules.yaml"),
    ];
    files
        .iter()
        .flat_map(|text| serde_saphyr::from_str::<File>(text).expect("published files are YAML").groups)
        .flat_map(|group| group.rules)
        .map(|rule| rule.expr)
        .collect()
}
