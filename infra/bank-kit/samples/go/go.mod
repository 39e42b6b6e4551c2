module lending/bank-kit/samples

go 1.24
