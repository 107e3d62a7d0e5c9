//! Help that is worth reading, and the page that quotes it.

use super::support::alone;

/// Every command there is.
const COMMANDS: [&[&str]; 20] = [
    &["serve"],
    &["config"],
    &["tx"],
    &["tx", "list"],
    &["tx", "show"],
    &["tx", "retry"],
    &["tx", "park"],
    &["tx", "confirm"],
    &["tx", "cancel"],
    &["subscription"],
    &["subscription", "add"],
    &["subscription", "list"],
    &["subscription", "show"],
    &["subscription", "remove"],
    &["subscription", "pause"],
    &["subscription", "resume"],
    &["service"],
    &["service", "add"],
    &["sdk"],
    &["sdk", "migrate"],
];

#[test]
fn the_first_page_is_the_one_in_the_docs() {
    let help = alone(&["--help"]).ok().out;
    for command in COMMANDS.iter().filter(|path| path.len() == 1) {
        assert!(
            help.contains(&format!("\n  {} ", command[0])),
            "{command:?}"
        );
    }
    let page = include_str!("../../../docs/cli.md");
    assert!(
        page.contains(help.trim()),
        "docs/cli.md must quote `earnest --help`:\n{help}"
    );
}

#[test]
fn every_command_explains_itself() {
    for path in COMMANDS {
        let help = alone(&[path, &["--help"]].concat()).ok().out;
        assert!(
            help.contains(&format!("Usage: earnest {}", path.join(" "))),
            "{path:?}:\n{help}"
        );
    }
}

#[test]
fn commands_that_need_it_have_examples() {
    for path in COMMANDS {
        let simple = matches!(
            path,
            [
                "subscription",
                "list" | "show" | "remove" | "pause" | "resume"
            ] | ["sdk"]
        );
        let help = alone(&[path, &["--help"]].concat()).ok().out;
        assert_eq!(help.contains("Example"), !simple, "{path:?}:\n{help}");
    }
}

#[test]
fn the_docs_name_every_command() {
    let page = include_str!("../../../docs/cli.md");
    for path in COMMANDS.iter().filter(|path| path.len() == 2) {
        let command = format!("earnest {}", path.join(" "));
        assert!(page.contains(&command), "docs/cli.md lacks `{command}`");
    }
}

#[test]
fn version_and_wrong_usage() {
    assert!(alone(&["--version"]).ok().out.starts_with("earnest 0."));
    let wrong = alone(&["tx", "lst"]).failed(2);
    assert!(
        wrong.err.contains("list") && wrong.out.is_empty(),
        "{wrong:#?}"
    );
    alone(&["tx", "show"]).failed(2);
    alone(&["subscription", "add", "x", "--topic", "t"]).failed(2);
    alone(&["tx", "confirm", "x", "--force"]).failed(2);
}
