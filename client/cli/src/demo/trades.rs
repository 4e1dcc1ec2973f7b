//! Stock trades, as in the tutorial of Kinesis: who is traded, bought or sold, at what price, how many.
//!
//! Made up, but not evenly: some tickers are traded far more than others, so that shards differ, and each
//! price walks from trade to trade. The same trades come in every run.

use rheos_client::Record;

/// The tickers, the most traded first, with the price in cents at which each begins.
const TICKERS: [(&str, u32); 16] = [
    ("AAPL", 22_400),
    ("AMZN", 20_100),
    ("NVDA", 13_800),
    ("MSFT", 42_900),
    ("GOOG", 18_300),
    ("TSLA", 33_700),
    ("JPM", 24_500),
    ("WMT", 9_200),
    ("XOM", 12_000),
    ("KO", 6_300),
    ("PFE", 2_600),
    ("DIS", 11_400),
    ("ORCL", 18_800),
    ("GE", 17_900),
    ("NKE", 7_600),
    ("IBM", 23_200),
];
/// How many shares a trade may be of.
const QUANTITY_MAX: u64 = 1_000;
/// How much a price moves with a trade at most, in thousandths.
const STEP_MAX: u64 = 5;
/// One in so many is a sale.
const SALES_EVERY: u64 = 3;

/// Makes trades, one after the other, without end.
#[derive(Debug)]
pub(super) struct Trades {
    random: u64,
    made: u64,
    prices: [u32; TICKERS.len()],
}

impl Trades {
    pub(super) fn new() -> Trades {
        Trades { random: 0, made: 0, prices: TICKERS.map(|(_, price)| price) }
    }

    /// How many tickers there are: each is a partition key.
    pub(super) fn tickers() -> usize {
        TICKERS.len()
    }

    /// The next trade as a record: its ticker is the key, JSON the data.
    pub(super) fn next(&mut self) -> Record {
        self.made += 1;
        // The lesser of two is more often among the first.
        let tickers = TICKERS.len() as u64;
        let ticker = self.below(tickers).min(self.below(tickers)) as usize;
        let step = u64::from(self.prices[ticker]) * self.below(STEP_MAX + 1) / 1_000;
        let price = match self.below(2) {
            0 => self.prices[ticker] + step as u32,
            _ => self.prices[ticker] - step as u32,
        };
        // Far enough from nothing to keep moving, far enough from the end of the number to keep counting.
        let price = price.clamp(500, 1_000_000);
        self.prices[ticker] = price;
        let side = if self.below(SALES_EVERY) == 0 { "SELL" } else { "BUY" };
        let quantity = 1 + self.below(QUANTITY_MAX);
        let (symbol, id) = (TICKERS[ticker].0, self.made);
        let data = format!(
            r#"{{"tickerSymbol":"{symbol}","tradeType":"{side}","price":{}.{:02},"quantity":{quantity},"id":{id}}}"#,
            price / 100,
            price % 100
        );
        Record::new(symbol, data)
    }

    /// A number below `end`, by the generator splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom
    /// number generators", 2014).
    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    #[test]
    fn trades_are_json_and_differ() {
        let mut trades = Trades::new();
        let mut of_ticker = BTreeMap::<String, Vec<f64>>::new();
        let (mut sales, mut quantities) = (0, BTreeMap::<u64, u32>::new());
        for id in 1..=20_000 {
            let record = trades.next();
            let trade: Value = serde_json::from_slice(&record.data).expect("a trade is JSON");
            assert_eq!((&trade["id"], &trade["tickerSymbol"]), (&id.into(), &record.partition_key.as_str().into()));
            sales += u32::from(trade["tradeType"] == "SELL");
            *quantities.entry(trade["quantity"].as_u64().unwrap()).or_default() += 1;
            of_ticker.entry(record.partition_key).or_default().push(trade["price"].as_f64().unwrap());
        }
        assert_eq!(of_ticker.len(), Trades::tickers());
        assert!(of_ticker["AAPL"].len() > 5 * of_ticker["IBM"].len(), "some are traded far more");
        assert!(of_ticker.values().all(|prices| prices.windows(2).any(|two| two[0] != two[1])), "prices move");
        assert!((6_000..7_400).contains(&sales), "{sales} sales");
        assert!(*quantities.keys().next().unwrap() == 1 && *quantities.keys().last().unwrap() == QUANTITY_MAX);
    }
}
