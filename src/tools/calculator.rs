//! `calculator`: arithmetic on a few numbers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{CallContext, Tool, ToolError};

/// From here on, floating point skips whole numbers.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
/// 171! is more than floating point can hold.
const MAX_FACTORIAL: f64 = 170.0;

pub(super) struct Calculator;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Input {
    /// What to do: `sqrt` and `factorial` with one operand, `power` with two, `subtract` and `divide` with two or more.
    operation: Operation,
    /// The numbers, from left to right.
    #[schemars(length(min = 1, max = 10))]
    operands: Vec<Number>,
    /// Digits after the point to round to; not rounded if not given.
    #[schemars(range(max = 10))]
    precision: Option<u8>,
}

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Sqrt,
    Factorial,
}

// Written as an integer if it is one: `60`, not `60.0`. No doc comment: it would become the schema's description.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < MAX_EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53 loses nothing")]
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    /// The result.
    result: Number,
    /// What was done.
    operation: Operation,
    /// The numbers it was done with.
    operands: Vec<Number>,
    /// Digits after the point, if it was rounded.
    precision: Option<u8>,
}

impl Tool for Calculator {
    type Input = Input;
    type Output = Output;

    const NAME: &'static str = "calculator";
    const TITLE: Option<&'static str> = Some("Calculator");
    const DESCRIPTION: &'static str =
        "Adds, subtracts, multiplies, divides, raises to a power, takes square roots and factorials.";
    const SCOPES: &'static [&'static str] = &["mcp:write"];
    const SHOWS: Option<&'static str> = Some("result");
    const READ_ONLY: bool = true;
    const OPEN_WORLD: bool = false;

    async fn call(&self, input: Input, _: &CallContext) -> Result<Output, ToolError> {
        let Input { operation, operands, precision } = input;
        let numbers: Vec<f64> = operands.iter().map(|number| number.0).collect();
        let exact = calculate(operation, &numbers).map_err(|message| ToolError::argument("operands", message))?;
        let result = Number(precision.map_or(exact, |digits| round(exact, digits)));
        Ok(Output { result, operation, operands, precision })
    }
}

fn calculate(operation: Operation, operands: &[f64]) -> Result<f64, &'static str> {
    match (operation, operands) {
        (Operation::Add, _) => fold(operands, |sum, next| Ok(sum + next)),
        (Operation::Multiply, _) => fold(operands, |product, next| Ok(product * next)),
        (Operation::Subtract, [_, _, ..]) => fold(operands, |rest, next| Ok(rest - next)),
        (Operation::Divide, [_, _, ..]) => fold(operands, divide),
        (Operation::Subtract | Operation::Divide, _) => Err("expected at least two numbers"),
        (Operation::Power, [_, _]) => fold(operands, power),
        (Operation::Power, _) => Err("expected exactly two numbers, base and exponent"),
        (Operation::Sqrt, &[number]) if number < 0.0 => Err("a negative number has no real square root"),
        (Operation::Sqrt, &[number]) => Ok(number.sqrt()),
        (Operation::Factorial, &[number]) => factorial(number),
        (Operation::Sqrt | Operation::Factorial, _) => Err("expected exactly one number"),
    }
}

fn fold(operands: &[f64], step: fn(f64, f64) -> Result<f64, &'static str>) -> Result<f64, &'static str> {
    let (&first, rest) = operands.split_first().ok_or("expected at least one number")?;
    rest.iter().try_fold(first, |value, &next| {
        step(value, next).and_then(|value| if value.is_finite() { Ok(value) } else { Err("overflow") })
    })
}

fn divide(dividend: f64, divisor: f64) -> Result<f64, &'static str> {
    if divisor == 0.0 { Err("division by zero") } else { Ok(dividend / divisor) }
}

fn power(base: f64, exponent: f64) -> Result<f64, &'static str> {
    if base == 0.0 && exponent < 0.0 {
        return Err("division by zero: zero to a negative power");
    }
    if base < 0.0 && exponent.fract() != 0.0 {
        return Err("a negative number to a fractional power is not real");
    }
    Ok(base.powf(exponent))
}

fn factorial(number: f64) -> Result<f64, &'static str> {
    if number < 0.0 || number.fract() != 0.0 {
        return Err("expected a whole number, zero or more, for a factorial");
    }
    if number > MAX_FACTORIAL {
        return Err("overflow: the largest factorial is that of 170");
    }
    let factors = std::iter::successors(Some(1.0), |factor| Some(factor + 1.0));
    Ok(factors.take_while(|&factor| factor <= number).product())
}

/// Rounds as a person reads it: the nearest decimal, ties by the number's exact value (2.675 is a little less, so 2.67).
fn round(number: f64, digits: u8) -> f64 {
    format!("{number:.*}", usize::from(digits)).parse().expect("a printed number is a number")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Calculator;
    use crate::tools::trial::{run, violations};

    async fn result(operation: &str, operands: Value) -> String {
        let arguments = json!({"operation": operation, "operands": operands});
        run(Calculator, arguments).await.unwrap()["result"].to_string()
    }

    async fn error(operation: &str, operands: Value) -> String {
        let mut violations = violations(Calculator, json!({"operation": operation, "operands": operands})).await;
        assert_eq!(violations.len(), 1);
        violations.remove(0)
    }

    #[tokio::test]
    async fn the_answer_repeats_the_question_and_whole_numbers_have_no_point() {
        let result = run(Calculator, json!({"operation": "add", "operands": [20, 30.0, 10]})).await.unwrap();
        let expected = r#"{"result":60,"operation":"add","operands":[20,30,10],"precision":null}"#;
        assert_eq!(result.to_string(), expected);
    }

    #[tokio::test]
    async fn every_operation_works() {
        assert_eq!(result("add", json!([5])).await, "5");
        assert_eq!(result("subtract", json!([10, 3, 2])).await, "5");
        assert_eq!(result("multiply", json!([2, 4, 5])).await, "40");
        assert_eq!(result("divide", json!([100, 4])).await, "25");
        assert_eq!(result("divide", json!([100, 4, 10])).await, "2.5");
        assert_eq!(result("power", json!([2, 8])).await, "256");
        assert_eq!(result("power", json!([4, -0.5])).await, "0.5");
        assert_eq!(result("sqrt", json!([144])).await, "12");
        assert_eq!(result("factorial", json!([5])).await, "120");
        assert_eq!(result("factorial", json!([0])).await, "1");
        assert_eq!(result("factorial", json!([170])).await, "7.257415615307994e+306");
        assert_eq!(result("multiply", json!([-1, 0])).await, "0");
        assert_eq!(result("power", json!([2, 53])).await, "9007199254740992.0");
    }

    #[tokio::test]
    async fn precision_rounds() {
        for (operands, precision, expected) in [
            (json!([10, 3]), 2, "3.33"),
            (json!([2, 3]), 0, "1"),
            (json!([-2, 3]), 4, "-0.6667"),
            (json!([100, 4]), 10, "25"),
            (json!([2.675, 1]), 2, "2.67"),
            (json!([1e300, 1]), 10, "1e+300"),
        ] {
            let arguments = json!({"operation": "divide", "operands": operands, "precision": precision});
            let result = run(Calculator, arguments).await.unwrap();
            assert_eq!(result["result"].to_string(), expected);
            assert_eq!(result["precision"], precision);
        }
    }

    #[tokio::test]
    async fn what_has_no_result_is_an_argument_error() {
        assert_eq!(error("divide", json!([1, 0])).await, "`/operands`: division by zero");
        assert_eq!(error("divide", json!([1, 2, -0.0])).await, "`/operands`: division by zero");
        assert_eq!(error("sqrt", json!([-4])).await, "`/operands`: a negative number has no real square root");
        assert_eq!(error("power", json!([0, -1])).await, "`/operands`: division by zero: zero to a negative power");
        assert_eq!(
            error("power", json!([-8, 0.5])).await,
            "`/operands`: a negative number to a fractional power is not real"
        );
    }

    #[tokio::test]
    async fn overflow_is_an_argument_error_also_on_the_way() {
        assert_eq!(error("power", json!([10, 400])).await, "`/operands`: overflow");
        assert_eq!(error("add", json!([1e308, 1e308, -1e308])).await, "`/operands`: overflow");
        assert_eq!(error("multiply", json!([1e308, 10, 0])).await, "`/operands`: overflow");
        assert_eq!(error("divide", json!([1e308, 1e-10])).await, "`/operands`: overflow");
        assert_eq!(
            error("factorial", json!([171])).await,
            "`/operands`: overflow: the largest factorial is that of 170"
        );
    }

    #[tokio::test]
    async fn factorials_are_of_whole_numbers() {
        for number in [json!([-1]), json!([2.5])] {
            assert_eq!(
                error("factorial", number).await,
                "`/operands`: expected a whole number, zero or more, for a factorial"
            );
        }
    }

    #[tokio::test]
    async fn each_operation_takes_its_number_of_operands() {
        assert_eq!(error("subtract", json!([1])).await, "`/operands`: expected at least two numbers");
        assert_eq!(error("divide", json!([1])).await, "`/operands`: expected at least two numbers");
        for operands in [json!([2]), json!([2, 3, 4])] {
            assert_eq!(error("power", operands).await, "`/operands`: expected exactly two numbers, base and exponent");
        }
        assert_eq!(error("sqrt", json!([1, 4])).await, "`/operands`: expected exactly one number");
        assert_eq!(error("factorial", json!([1, 4])).await, "`/operands`: expected exactly one number");
        assert_eq!(error("add", json!([])).await, "`/operands`: the value has less than 1 item");
        assert_eq!(error("add", json!(vec![0; 11])).await, "`/operands`: the value has more than 10 items");
    }

    #[tokio::test]
    async fn malformed_arguments_are_told_one_by_one() {
        assert_eq!(violations(Calculator, json!({})).await, ["`operation` is missing", "`operands` is missing"]);
        assert_eq!(
            violations(Calculator, json!({"operation": "modulo", "operands": [1, "2", null], "precision": 11})).await,
            [
                "`/operation`: expected one of \"add\", \"subtract\", \"multiply\", \"divide\", \"power\", \"sqrt\", \"factorial\"",
                "`/operands/1`: expected number, found string",
                "`/operands/2`: expected number, found null",
                "`/precision`: the value is greater than the maximum of 10",
            ]
        );
        assert_eq!(error("add", json!("1,2")).await, "`/operands`: expected array, found string");
    }
}
