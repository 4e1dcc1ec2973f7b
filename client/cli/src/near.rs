//! The name that was meant, when one that was typed is not there.

/// The name that is a slip or two away from `typed`: the nearest, when it is near enough. Whether letters are
/// large or small is no slip, and another word of one letter is no near one.
pub(crate) fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = typed.chars().count();
    let slips_max = (length / 3).clamp(1, SLIPS_MAX);
    let others = names.into_iter().filter(|name| *name != typed);
    let with_slips = others.map(|name| (slips(&typed.to_lowercase(), &name.to_lowercase()), name));
    let is_near = |slips: usize, name: &str| slips <= slips_max && slips < length.max(name.chars().count());
    let (_, name) = with_slips.filter(|(slips, name)| is_near(*slips, name)).min()?;
    Some(name)
}

/// `; did you mean NAME?`, or nothing.
pub(crate) fn suggestion<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    suggestion_or(typed, names, String::new)
}

/// `; did you mean NAME?`, or what else there is to say when no name is near.
pub(crate) fn suggestion_or<'a>(
    typed: &str,
    names: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(typed, names).map_or_else(otherwise, |name| format!("; did you mean {name}?"))
}

/// How many letters were left out, put in, put for another, or swapped with their neighbour.
fn slips(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // A row for each beginning of `a`: the slips to each beginning of `b`. Three rows are looked at.
    let (mut before, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        (before, last) = (last, row);
    }
    last[b.len()]
}

/// More slips than this are another name.
const SLIPS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_counted() {
        for (a, b, count) in [
            ("", "", 0),
            ("", "abc", 3),
            ("orders", "orders", 0),
            ("oders", "orders", 1),
            ("ordesr", "orders", 1),
            ("orderss", "orders", 1),
            ("kitten", "sitting", 3),
            ("größe", "grösse", 2),
        ] {
            assert_eq!((slips(a, b), slips(b, a)), (count, count), "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_is_meant_and_nothing_when_all_are_far() {
        let names = ["orders", "borders", "flights", "x"];
        for (typed, meant) in [
            ("odrers", Some("orders")),
            ("flihgt", Some("flights")),
            ("bordrs", Some("borders")),
            ("Orders", Some("orders")),
            ("FLIHGTS", Some("flights")),
            ("y", None),
            ("X", Some("x")),
            ("invoices", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
        assert_eq!(suggestion("oders", names), "; did you mean orders?");
        assert_eq!(suggestion("orders", ["orders"]), "", "it is not the name that is wrong");
    }
}
