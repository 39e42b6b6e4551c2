//! The Lambda binary of `analyst`: it wires and serves.

use lambda_kit::{Environment, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    lambda_kit::init_logs();
    let aws = aws::load().await;
    aws.warm().await;
    let analyst = analyst::wire(&Environment::from_process(), &aws)?;
    lambda_kit::serve(analyst).await
}
