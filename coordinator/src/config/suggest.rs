//! *Did you mean …?*

/// The known name that `typed` most likely meant; `None`: nothing is near.
pub(super) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let far = |name: &str| {
        let last = name.rsplit('.').next().unwrap_or(name);
        let typed_last = typed.rsplit('.').next().unwrap_or(&typed);
        // A right word in a wrong table, or a forgotten unit, is near too.
        if last == typed_last || last.strip_suffix("_ms") == Some(typed_last) {
            return 1;
        }
        distance(&typed, &name.to_lowercase())
    };
    known
        .map(|name| (far(name), name))
        .filter(|(far, name)| *far <= name.len().max(3) / 3)
        .min_by_key(|(far, _)| *far)
        .map(|(_, name)| name)
}

/// Letters to add, drop, change or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = [
            "listen",
            "limits.messages",
            "lease_ms",
            "journal.batch_bytes",
        ];
        let meant = |typed| nearest(typed, known.into_iter());
        assert_eq!(meant("lsiten"), Some("listen"));
        assert_eq!(meant("lease"), Some("lease_ms"));
        assert_eq!(meant("messages"), Some("limits.messages"));
        assert_eq!(meant("journal.batch_byte"), Some("journal.batch_bytes"));
        assert_eq!(meant("tls_certificate"), None);
    }
}
