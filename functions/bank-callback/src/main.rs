//! The Lambda binary of `bank-callback`: it wires and serves.

use lambda_kit::{Environment, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    lambda_kit::init_logs();
    let aws = aws::load().await;
    aws.warm().await;
    let bank_callback = bank_callback::wire(&Environment::from_process(), &aws)?;
    lambda_kit::serve(bank_callback).await
}
