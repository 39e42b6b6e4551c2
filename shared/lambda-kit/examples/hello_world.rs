//! The least Lambda function that can be built from our crates: it answers every event with itself. `bench cold-start`
//! measures the others against it.

use async_trait::async_trait;
use lambda_kit::{Failure, Function, StartError};
use serde_json::Value;

struct Echo;

#[async_trait]
impl Function for Echo {
    async fn call(&self, event: Value) -> Result<Value, Failure> {
        Ok(event)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    lambda_kit::init_logs();
    lambda_kit::serve(Echo).await
}
