//! The suite of the application on `SQLite`.

use super::RegionStore;
use crate::app::regional::store_suite;

#[tokio::test]
async fn keeps_what_the_suite_asks_for() {
    for (_, test) in store_suite::TESTS {
        let folder = tempfile::tempdir().unwrap();
        let store = RegionStore::open(&folder.path().join("region.db")).await.unwrap();
        test(&store).await;
    }
}
