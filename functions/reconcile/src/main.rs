//! The Lambda binary of `reconcile`: it wires and serves.

use lambda_kit::{Environment, StartError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    lambda_kit::init_logs();
    let aws = aws::load().await;
    aws.warm().await;
    let reconcile = reconcile::wire(&Environment::from_process(), &aws)?;
    lambda_kit::serve(reconcile).await
}
