//! The Lambda binary of `notify`: it wires and serves.

use lambda_kit::{Environment, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    lambda_kit::init_logs();
    let aws = aws::load().await;
    let start = wiring::rotating(Environment::from_process(), &aws, notify::wire);
    let (notify, ()) = tokio::join!(start, aws.warm());
    lambda_kit::serve(notify?).await
}
