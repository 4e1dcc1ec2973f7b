//! One page: its blocks, tables, headings and links.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page of Markdown.
#[derive(Debug)]
pub struct Page {
    /// From the repository's root.
    pub path: String,
    /// Fenced blocks, in order.
    pub blocks: Vec<Block>,
    /// Tables, in order.
    pub tables: Vec<Table>,
    /// What a link can point at in it, after `#`, as mdBook makes it of the headings.
    pub anchors: Vec<String>,
    /// Every link in it.
    pub links: Vec<Link>,
}

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// Of its first line, from 1 on.
    pub line: usize,
    /// The first word of its info string.
    pub language: String,
    /// The other words: a name, and what follows its `=`.
    pub attributes: Vec<(String, String)>,
    /// What is in it.
    pub text: String,
}

/// A table; its cells are what a reader sees.
#[derive(Debug)]
pub struct Table {
    /// Of its first line, from 1 on.
    pub line: usize,
    /// The anchor of the heading that it stands under.
    pub under: String,
    /// Its first row.
    pub titles: Vec<String>,
    /// The others.
    pub rows: Vec<Vec<String>>,
}

/// A link.
#[derive(Debug)]
pub struct Link {
    /// Where it stands, from 1 on.
    pub line: usize,
    /// Where it points.
    pub target: String,
}

impl Block {
    /// What follows `name=` in its info string; empty when only the name stands there.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Page {
    /// Reads the text of a page.
    pub fn read(path: &str, text: &str) -> Page {
        let mut reader = Reader::new(path);
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = 1 + text[..range.start].matches('\n').count();
            reader.take(event, line);
        }
        reader.page
    }

    /// Its name in a message: path and line.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }

    /// The table under the heading with this anchor.
    ///
    /// # Panics
    /// When there is none.
    pub fn table(&self, anchor: &str) -> &Table {
        let found = self.tables.iter().find(|table| table.under == anchor);
        found.unwrap_or_else(|| panic!("{} has no table under #{anchor}", self.path))
    }
}

/// Gathers what a page holds.
struct Reader {
    page: Page,
    /// What a reader sees of the heading or cell that is being read.
    seen: Option<String>,
    row: Vec<String>,
}

impl Reader {
    fn new(path: &str) -> Reader {
        let (blocks, tables, anchors, links) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Reader { page: Page { path: path.to_owned(), blocks, tables, anchors, links }, seen: None, row: Vec::new() }
    }

    fn take(&mut self, event: Event<'_>, line: usize) {
        match event {
            Event::Start(tag) => self.begin(tag, line),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Code(text) => {
                if let Some(seen) = &mut self.seen {
                    seen.push_str(&text);
                }
            }
            _ => {}
        }
    }

    fn begin(&mut self, tag: Tag<'_>, line: usize) {
        match tag {
            Tag::CodeBlock(CodeBlockKind::Fenced(info)) => {
                self.page.blocks.push(block(&info, line + 1));
                self.seen = Some(String::new());
            }
            Tag::Heading { .. } | Tag::TableCell => self.seen = Some(String::new()),
            Tag::Table(_) => {
                let under = self.page.anchors.last().cloned().unwrap_or_default();
                self.page.tables.push(Table { line, under, titles: Vec::new(), rows: Vec::new() });
            }
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.page.links.push(Link { line, target: dest_url.to_string() });
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            // An indented block shows something and is none of these: nothing of it was seen.
            TagEnd::CodeBlock => {
                if let (Some(text), Some(block)) = (self.seen.take(), self.page.blocks.last_mut()) {
                    block.text = text;
                }
            }
            TagEnd::Heading(_) => {
                let heading = self.seen.take().unwrap_or_default();
                let anchor = self.anchor(&heading);
                self.page.anchors.push(anchor);
            }
            TagEnd::TableCell => self.row.push(self.seen.take().unwrap_or_default()),
            TagEnd::TableHead => {
                let titles = std::mem::take(&mut self.row);
                self.table().titles = titles;
            }
            TagEnd::TableRow => {
                let row = std::mem::take(&mut self.row);
                self.table().rows.push(row);
            }
            _ => {}
        }
    }

    fn table(&mut self) -> &mut Table {
        self.page.tables.last_mut().expect("a row stands in a table")
    }

    /// The anchor of a heading: its letters, digits, `_` and `-` in lower case, spaces as `-`; a number is added where one is taken.
    fn anchor(&self, heading: &str) -> String {
        let kept = heading.trim().chars().filter_map(|c| match c {
            c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c.to_ascii_lowercase()),
            c if c.is_whitespace() => Some('-'),
            _ => None,
        });
        let anchor: String = kept.collect();
        let taken = |name: &String| self.page.anchors.contains(name);
        let numbered = (1..).map(|number| format!("{anchor}-{number}"));
        std::iter::once(anchor.clone()).chain(numbered).find(|name| !taken(name)).expect("numbers do not end")
    }
}

fn block(info: &str, line: usize) -> Block {
    let mut words = info.split(',').map(str::trim);
    let language = words.next().unwrap_or_default().to_owned();
    let attributes = words.map(|word| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (name.to_owned(), value.to_owned())
    });
    Block { line, language, attributes: attributes.collect(), text: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_taken_apart() {
        let text = "# What it `is`\n\n```sh,fails=1\nfalse\n```\n\n## Codes\n\n| number | name |\n|---|---|\n\
                    | 1 | `Bad` |\n\n## Codes\n\n    shown only\n\nSee [there](there.md#here).\n";
        let page = Page::read("x.md", text);
        assert_eq!(page.anchors, ["what-it-is", "codes", "codes-1"]);
        assert_eq!((page.blocks.len(), page.blocks[0].line, page.blocks[0].text.as_str()), (1, 4, "false\n"));
        assert_eq!((page.blocks[0].language.as_str(), page.blocks[0].attribute("fails")), ("sh", Some("1")));
        let table = page.table("codes");
        assert_eq!(
            (table.line, &table.titles, &table.rows),
            (9, &vec!["number".into(), "name".into()], &vec![vec!["1".into(), "Bad".into()]])
        );
        assert_eq!((page.links[0].line, page.links[0].target.as_str()), (17, "there.md#here"));
    }
}
