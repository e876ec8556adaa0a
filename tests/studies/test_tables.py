"""The study of real tables: every method beside an independent computation, and the tests behind its verdicts."""

import json

import numpy as np
import pytest
from commands import one_line
from scipy.linalg import expm
from scipy.stats import ttest_1samp
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.preprocessing import StandardScaler

from hilbertsd.errors import InvalidFile
from hilbertsd.filters import gradient_flow, iterated_tikhonov, ridge
from hilbertsd.gram import NamedKernel
from hilbertsd.studies.form import Verdict
from hilbertsd.studies.tables import STUDY, air_quality, data, one_step, presets, resampling, results, runs, verdicts
from hilbertsd.studies.tables.linear import compressed
from hilbertsd.studies.tables.methods import CRITERIA, METHODS, RIDGE, filter_scores, path_of, tried_multipliers

N, P = 90, 3


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, P)) * [1, 20, 0.1] + 5
    y = 40 + 6 * np.sin(X[:, 0]) + 0.2 * X[:, 1] + rng.normal(size=N)
    return data.RealTable("made", "units", X, y[:, None])


@pytest.fixture(scope="module")
def rows(table):
    return data.split_rows(table, *data.random_rows(N, seed=0, split=0))


@pytest.fixture(scope="module")
def problem(rows):
    return rows.problem(NamedKernel("rbf", 0.3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of the two tables, of few made-up rows: hourly covariates that drift, some of them missing."""
    rng, folder = np.random.default_rng(4), tmp_path_factory.mktemp("uci")
    n = 1400
    X = rng.normal(size=(n, 8)) @ rng.normal(size=(8, 8)) + np.linspace(0, 2, n)[:, None]
    y = 100 + X @ np.linspace(1, -1, 8) + 3 * rng.normal(size=n)
    y[::50], X[::70, 2] = -200, -200
    lines = [",".join(["Date", "NO2_GT", *data.SENSORS])]
    lines += [",".join(["d", f"{b:.8g}", *(f"{v:.8g}" for v in a)]) for a, b in zip(X, y, strict=True)]
    (folder / "AirQualityUCI.csv").write_text("\n".join(lines), encoding="utf-8")
    X, y = rng.normal(size=(150, 5)), rng.normal(size=150)
    lines = ["X0\tX1\tX2\tX3\tX4\tTARGET", *("\t".join(f"{v:.8g}" for v in [*a, b]) for a, b in zip(X, y, strict=True))]
    (folder / "airfoil_self_noise.dat").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def result(folder):
    return STUDY.execute(presets.Config("smoke", data=folder)).result


def test_a_split_is_standardised_by_its_training_rows(table):
    train, test = data.random_rows(N, seed=0, split=1)
    assert sorted([*train, *test]) == list(range(N))
    assert len(test) == round(N / 4)
    rows, scaler = data.split_rows(table, train, test), StandardScaler().fit(table.features[train])
    np.testing.assert_allclose(rows.train, scaler.transform(table.features[train]), atol=1e-12)
    np.testing.assert_allclose(rows.test, scaler.transform(table.features[test]), atol=1e-12)
    np.testing.assert_allclose(rows.test_targets, table.targets[test] - table.targets[train].mean(), atol=1e-12)
    np.testing.assert_allclose(rows.uncentred().targets, table.targets[train], atol=1e-12)
    np.testing.assert_allclose(rows.uncentred().test_targets, table.targets[test], atol=1e-12)


def test_ridge_is_tuned_by_leave_one_out_as_sklearn_does_it(rows, problem):
    n = len(rows.train)
    scores, errors = [], []
    for c in tried_multipliers(problem.spectrum)[15::3]:  # smaller ones are beyond the digits of a Cholesky factor
        model = KernelRidge(kernel="rbf", gamma=0.3, alpha=n * c)
        left_out = cross_val_predict(model, rows.train, rows.targets, cv=LeaveOneOut())
        scores.append(np.mean((left_out - rows.targets) ** 2))
        errors.append(np.mean((model.fit(rows.train, rows.targets).predict(rows.test) - rows.test_targets) ** 2))
    members = [ridge(c) for c in tried_multipliers(problem.spectrum)[15::3]]
    np.testing.assert_allclose(filter_scores(problem.spectrum, members, "loo"), scores, rtol=1e-6)
    tuned = METHODS[RIDGE](problem.spectrum, "loo")
    assert tuned.score <= min(scores) * (1 + 1e-9)
    assert not tuned.at_edge
    model = KernelRidge(kernel="rbf", gamma=0.3, alpha=n * tuned.choice["multiplier"]).fit(rows.train, rows.targets)
    expected = np.sum((model.predict(rows.test) - rows.test_targets) ** 2, axis=1)
    np.testing.assert_allclose(problem.squared_errors(tuned.predict(problem.cross_kernel)), expected, rtol=1e-8)


@pytest.mark.parametrize("member", [ridge(0.02), iterated_tikhonov(0.1, 4), gradient_flow(15.0)])
def test_scores_of_filters_are_those_of_their_smoothers(rows, problem, member):
    n, spectrum = len(rows.train), problem.spectrum
    H = np.asarray(spectrum.basis) @ np.diag(member.weights(spectrum.eigenvalues)) @ np.asarray(spectrum.basis).T
    residuals = rows.targets[:, 0] - H @ rows.targets[:, 0]
    (score,) = filter_scores(spectrum, [member], "loo")
    assert score == pytest.approx(np.mean((residuals / (1 - np.diag(H))) ** 2), rel=1e-10)
    (score,) = filter_scores(spectrum, [member], "gcv")
    assert score == pytest.approx(np.mean(residuals**2) / (1 - np.trace(H) / n) ** 2, rel=1e-10)
    # the target of a point replaced by its prediction: the smoother's prediction there is that target
    imputed = rows.targets[:, 0].copy()
    imputed[5] -= residuals[5] / (1 - H[5, 5])
    assert (H @ imputed)[5] == pytest.approx(imputed[5], rel=1e-9)


def test_an_interpolating_filter_has_no_score(problem):
    tiny = 1e-18 * problem.spectrum.eigenvalues[0]
    for criterion in CRITERIA:
        assert filter_scores(problem.spectrum, [ridge(tiny)], criterion)[0] == np.inf


def test_gradient_flow_left_out_is_near_the_flow_without_the_point(rows, problem):
    """The residual over 1 − H_ii is not that of the flow on the other points; it has to be near."""
    K, y, time = rbf_kernel(rows.train, gamma=0.3), rows.targets[:, 0], 15.0
    n = len(y)
    errors = []
    for i in range(n):
        others = np.delete(np.arange(n), i)
        G = K[np.ix_(others, others)] / n
        coefficients = np.linalg.solve(G, y[others] - expm(-time * G) @ y[others]) / n
        errors.append((K[i, others] @ coefficients - y[i]) ** 2)
    (score,) = filter_scores(problem.spectrum, [gradient_flow(time)], "loo")
    assert score == pytest.approx(np.mean(errors), rel=0.08)


def test_every_method_is_no_worse_by_its_criterion_than_the_ridge_that_it_contains(problem):
    for criterion in CRITERIA:
        tuned = {name: method(problem.spectrum, criterion) for name, method in METHODS.items()}
        ridge_score = tuned[RIDGE].score
        for name in ("one-step mixture", "one-step mixture, ξ at ridge's λ", "four-step mixture", "iterated Tikhonov"):
            assert tuned[name].score <= ridge_score * (1 + 1e-9), (name, criterion)
        assert tuned["four-step mixture"].score <= tuned["one-step mixture"].score * (1 + 1e-9)
        assert tuned["best ε and round"].score <= 1.02 * ridge_score  # ε is tried on a grid of its own


def dang(Z, y, value, n=None):
    """Ridge's coefficients, the distilled ones, and ξ by the formula of Dang, Patil & Rinaldo, in feature space."""
    n = len(y)
    covariance = Z.T @ Z / n
    inverse = np.linalg.inv(covariance + value * np.eye(Z.shape[1]))
    first = inverse @ Z.T @ y / n
    second = inverse @ covariance @ first
    df1, df2 = (np.trace(np.linalg.matrix_power(inverse @ covariance, k)) / n for k in (1, 2))
    here, there = y - Z @ first, y - Z @ second
    A, B = here @ here / (n * (1 - df1) ** 2), there @ there / (n * (1 - df2) ** 2)
    C = here @ there / (n * (1 - df1) * (1 - df2))
    return first, second, (A - C) / (A + B - 2 * C), A


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("value", [0.1, 1.0, 10.0])
def test_xi_is_that_of_the_formula_and_a_row_stands_for_many(rows, value, centred):
    rows = rows if centred else rows.uncentred()
    small, given_rows = compressed(rows)
    compared = one_step.at_multiplier(small, value, given_rows)
    first, second, xi, score = dang(rows.train, rows.targets[:, 0], value)
    assert compared.xi == pytest.approx(xi, rel=1e-7)
    assert given_rows.residuals(path_of(small.spectrum, value, 1)).scores[0] == pytest.approx(score, rel=1e-9)
    for errors, coefficients in ((compared.ridge, first), (compared.mixture, (1 - xi) * first + xi * second)):
        np.testing.assert_allclose(errors, (rows.test @ coefficients - rows.test_targets[:, 0]) ** 2, rtol=1e-6)
    model = Ridge(alpha=value * len(rows.train), fit_intercept=False).fit(rows.train, rows.targets)
    np.testing.assert_allclose(model.coef_.ravel(), first, rtol=1e-8)
    f, g = rows.test @ first - rows.test_targets[:, 0], rows.test @ (second - first)
    assert compared.oracle_xi == pytest.approx(-(f @ g) / (g @ g), rel=1e-6)
    whole = rows.problem(NamedKernel("linear"))  # the kernel matrix of all rows, of which most eigenvalues are 0
    big = one_step.at_multiplier(whole, value, "gcv")
    assert big.xi == pytest.approx(xi, rel=1e-7)
    np.testing.assert_allclose(big.mixture, compared.mixture, rtol=1e-6)


def test_the_oracle_obeys_the_sign_rule(problem):
    """ξ that is best on the test rows has the sign of −dR/dλ of the test error R (Dang, Patil & Rinaldo 2026)."""
    c = tried_multipliers(problem.spectrum)[20:48:3]
    risks = [[one_step.at_multiplier(problem, factor * m, "gcv").ridge.mean() for factor in (0.999, 1.001)] for m in c]
    signs = [np.sign(one_step.at_multiplier(problem, m, "gcv").oracle_xi) for m in c]
    assert signs == [np.sign(low - high) for low, high in risks]
    assert set(signs) == {-1, 1}


def test_noise_is_added_to_the_training_targets_alone(rows, problem):
    values = one_step.with_noise(problem, 0.05, np.random.default_rng(1))
    assert values.shape == (2, len(one_step.NAMES), len(presets.NOISE_LEVELS))
    clean = one_step.at_multiplier(problem, 0.05, CRITERIA[0]).means()
    np.testing.assert_allclose(values[0, :, 0], clean, rtol=1e-8)
    # once more, from the noise: the targets of level 2, centred anew, fitted by sklearn and judged on clean targets
    n = len(rows.targets)
    noise = np.random.default_rng(1).normal(scale=np.sqrt(np.mean(rows.targets**2)), size=(n, 1))
    noisy = rows.targets + 2 * noise
    model = KernelRidge(kernel="rbf", gamma=0.3, alpha=0.05 * n).fit(rows.train, noisy - noisy.mean())
    error = np.mean((model.predict(rows.test) + noisy.mean() - rows.test_targets) ** 2)
    assert values[0, 0, presets.NOISE_LEVELS.index(2.0)] == pytest.approx(error, rel=1e-8)


def test_errors_of_overlapping_splits_are_those_of_nadeau_and_bengio(rng):
    values = rng.normal(0.4, 1, size=12)
    tested = resampling.over_splits(values, n_test=25, n_train=75)
    plain = ttest_1samp(values, 0)
    inflation = np.sqrt(1 + 12 * 25 / 75)
    assert tested.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(12) * inflation)
    apart = resampling.over_splits(values, n_test=0, n_train=75)  # no overlap to correct for: Student's test
    assert apart.p_above == pytest.approx(ttest_1samp(values, 0, alternative="greater").pvalue)
    assert apart.p_below == pytest.approx(ttest_1samp(values, 0, alternative="less").pvalue)
    assert apart.mean / apart.standard_error == pytest.approx(plain.statistic)
    assert resampling.over_splits(np.full(5, 2.0), 1, 3)[2:] == (1.0, 1.0)


def test_corrected_errors_are_as_large_as_the_spread_over_fresh_data():
    """Differences of two predictors of a mean, over splits of one sample, against those over fresh samples."""
    rng, n, n_test, means, errors = np.random.default_rng(0), 60, 15, [], []
    for _ in range(300):
        y = rng.normal(1, 1, n)
        values = []
        for split in range(10):
            train, test = data.random_rows(n, 0, split)
            values.append(np.mean((y[test] - y[train].mean()) ** 2 - (y[test] - np.median(y[train])) ** 2))
        tested = resampling.over_splits(np.array(values), n_test, n - n_test)
        means.append(tested.mean)
        errors.append(tested.standard_error)
    naive = np.sqrt(np.mean(np.square(errors)) / (1 / 10 + n_test / (n - n_test)) / 10)
    assert np.std(means) > 1.2 * naive
    assert 0.6 < np.std(means) / np.sqrt(np.mean(np.square(errors))) < 1.3


def test_errors_over_weeks_count_weeks_and_not_rows():
    rng = np.random.default_rng(0)
    weeks = np.repeat(np.arange(12), rng.integers(20, 168, 12))
    values = rng.normal(size=12)[weeks] + 0.1 * rng.normal(size=len(weeks))
    tested = resampling.over_weeks(values, weeks)
    assert tested.mean == pytest.approx(values.mean())
    assert tested.standard_error > 5 * values.std() / np.sqrt(len(values))
    equal = np.repeat(np.arange(8), 10)
    values = rng.normal(size=80)
    blocks = values.reshape(8, 10).mean(axis=1)  # weeks of one size: the standard error of their means
    assert resampling.over_weeks(values, equal).standard_error == pytest.approx(blocks.std(ddof=1) / np.sqrt(8))


def test_verdicts_are_corrected_over_settings():
    assert resampling.verdicts([0.02], [0.98]) == [Verdict.REPRODUCED]
    assert resampling.verdicts([0.03, 0.4], [0.97, 0.6]) == [Verdict.UNDECIDED, Verdict.UNDECIDED]
    assert resampling.verdicts([0.99, 0.001], [0.01, 0.999]) == [Verdict.NOT_UNDER_PROTOCOL, Verdict.REPRODUCED]


def test_air_quality_leaves_out_missing_hours(folder):
    record = data.air_quality(folder)
    missing = set(range(0, 1400, 50)) | set(range(0, 1400, 70))
    assert record.hours.tolist() == [hour for hour in range(1400) if hour not in missing]
    assert record.table.features.min() > -100
    assert record.table.targets.min() > 0


def test_air_quality_in_time_by_hand(folder, result):
    record, usual = data.air_quality(folder), result.usual
    n = len(record.hours)
    n_train = round(0.7 * n)
    assert usual.n_train == n_train
    assert usual.weeks.tolist() == (record.hours[n_train:] // 168).tolist()
    X, y = record.table.features, record.table.targets[:, 0]

    def fit(train, test, value, weights=None):
        scaler, mean = StandardScaler().fit(X[train]), y[train].mean()
        Z, W = scaler.transform(X[train]), scaler.transform(X[test])
        first, second, xi, score = dang(Z, y[train] - mean, value)
        if isinstance(weights, str):  # best on the rows that are not fitted
            f, g = y[test] - mean - W @ first, W @ (second - first)
            return np.mean((f - g * (f @ g) / (g @ g)) ** 2), (f @ g) / (g @ g)
        weights = weights if weights is not None else (1 - xi, xi)
        return [
            np.mean((y[test] - mean - W @ f) ** 2) for f in (first, weights[0] * first + weights[1] * second)
        ], score

    hours = np.arange(n)
    row = next(row for row in usual.rows() if row["centred"] and row["lambda"] == 1.0)
    (error, mixture), _ = fit(hours[:n_train], hours[n_train:], 1.0)
    assert (row["ridge"], row["mixture"]) == pytest.approx((error, mixture), rel=1e-6)
    by_gcv = [fit(hours[:n_train], hours[n_train:], value) for value in air_quality.LAMBDAS]
    tuned = by_gcv[int(np.argmin([score for _, score in by_gcv]))][0][0]
    assert usual.usual["generalised cross-validation", RIDGE].errors.mean() == pytest.approx(tuned, rel=1e-6)
    assert row["tuned_ridge"] == pytest.approx(tuned, rel=1e-6)
    assert row["share_of_gain_by_tuning"] == pytest.approx((tuned - error) / (mixture - error), rel=1e-5)
    errors = [errors[0] for errors, _ in by_gcv]
    best = int(np.argmin(errors))  # on the test hours
    assert (row["oracle_lambda"], row["oracle_ridge"]) == pytest.approx((air_quality.LAMBDAS[best], errors[best]))
    assert row["mixture_minus_oracle_ridge"] == pytest.approx(mixture - errors[best], rel=1e-5)
    # validation in time: the first 70 % of the training hours are fitted, the others choose
    n_fitted = round(0.7 * n_train)
    validated = [fit(hours[:n_fitted], hours[n_fitted:n_train], value)[0][0] for value in air_quality.LAMBDAS]
    chosen = usual.usual["validation in time", RIDGE]
    assert chosen.multiplier == air_quality.LAMBDAS[int(np.argmin(validated))]
    in_time = by_gcv[int(np.argmin(validated))][0][0]
    assert row["share_of_gain_by_tuning_in_time"] == pytest.approx((in_time - error) / (mixture - error), rel=1e-5)
    mixed_fit = usual.usual["validation in time", "one-step mixture"]
    validated = [fit(hours[:n_fitted], hours[n_fitted:n_train], value, "best") for value in air_quality.LAMBDAS]
    best = int(np.argmin([error for error, _ in validated]))
    assert mixed_fit.multiplier == air_quality.LAMBDAS[best]
    assert mixed_fit.weights[1] == pytest.approx(validated[best][1], rel=1e-6)
    (_, error), _ = fit(hours[:n_train], hours[n_train:], mixed_fit.multiplier, mixed_fit.weights)
    assert mixed_fit.errors.mean() == pytest.approx(error, rel=1e-6)
    assert sum(mixed_fit.weights) == pytest.approx(1)
    # the uncentred target leaves its mean out: the error is that of predictions without it
    row = next(row for row in usual.rows() if not row["centred"] and row["lambda"] == 1.0)
    Z = StandardScaler().fit(X[:n_train])
    model = Ridge(alpha=n_train, fit_intercept=False).fit(Z.transform(X[:n_train]), y[:n_train])
    assert row["ridge"] == pytest.approx(np.mean((model.predict(Z.transform(X[n_train:])) - y[n_train:]) ** 2))


def test_the_result_says_what_it_found(result, tmp_path):
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert result.config.recorded() == {"preset": "smoke", "seed": 0}
    assert str(result.config.data) not in json.dumps(record)
    rows = record["methods"]
    assert len(rows) == 4 * 2 * len(METHODS)
    for row in rows:
        assert (row["minus_ridge_percent"] == 0) == (row["method"] == RIDGE) or row["splits_below_ridge"] == 0
        assert ("accuracy" in row) == (row["table"] == "digits")
        assert row["cost_in_eigh"] > 0
    assert 50 < next(row["accuracy"] for row in rows if row["table"] == "digits") <= 100
    told = result.closing()
    assert sum("beside ridge tuned by" in line for line in told) >= 8
    named = [line for line in told if line.startswith(("distillation is surely", "distillation is not seen"))]
    assert all(sum(table.name in line for line in named) == 1 for table in result.tables)
    paths = STUDY.draw(result, tmp_path)
    assert sorted(path.name for path in paths if path.suffix == ".png") == ["air-quality.png", "tables.png"]
    assert all(path.stat().st_size > 5000 for path in paths)
    claims = {claim.source.split(",")[0] for claim in result.claims()}
    assert claims == {"Dang", "Das & Sanghavi 2023", "Pareek", ""}
    table = result.tables[0]
    xi = table.noise("oracle_xi", anew=False)
    noisy = next(claim for claim in result.claims() if claim.source.startswith("Das") and claim.setting == table.name)
    assert noisy.numbers["growth"] == pytest.approx(np.mean(xi[:, -1] - xi[:, 0]))
    assert noisy.numbers["p_last_above_one"] == table.tested(xi[:, -1] - 1).p_above


def made_up(rng, shift=None, around=None):
    """20 splits: methods with errors of 1 and a shift, and values around λ with a little noise."""
    errors = {name: 1 + (shift or {}).get(name, 0) + 0.001 * rng.normal(size=20) for name in METHODS}
    splits = []
    for j in range(20):
        fitted = {name: runs.Fitted(each[j], np.nan, {}, False, 1.0) for name, each in errors.items()}
        values = np.zeros((len(one_step.NAMES), len(presets.FACTORS)))
        for name, each in (around or {}).items():
            values[one_step.NAMES.index(name)] = each + 0.001 * rng.normal(size=len(presets.FACTORS))
        noise = np.zeros((2, len(one_step.NAMES), len(presets.NOISE_LEVELS)))
        splits.append(runs.Split(dict.fromkeys(CRITERIA, 1.0), dict.fromkeys(CRITERIA, fitted), values, noise))
    return runs.TableRuns("made", "units", 3, 75, 25, False, splits)


def test_the_sign_rule_is_judged_by_the_xi_that_is_best_on_test_rows(rng):
    """The ξ of leave-one-out has the signs by construction, whatever the risk is."""
    rule, against = np.array([2, 1, 0, -1, -2.0]), np.array([-2, -1, 0, 1, 2.0])
    no_rule = np.array([2, 1, 0, 1, -2.0])  # positive on either side
    for oracle, verdict in (
        (rule, Verdict.REPRODUCED),
        (no_rule, Verdict.UNDECIDED),
        (against, Verdict.NOT_UNDER_PROTOCOL),
    ):
        for xi in (rule, against):
            table = made_up(rng, around={"xi": xi, "oracle_xi": oracle})
            (claim,) = [each for each in verdicts.claims_of([table], None) if each.source.endswith("sign rule")]
            assert claim.verdict == verdict
            assert claim.numbers["oracle_xi_at_a_tenth"] == pytest.approx(oracle[1], abs=0.01)
            assert claim.numbers["oracle_xi_at_ten_times"] == pytest.approx(oracle[3], abs=0.01)


def test_gains_far_from_the_best_multiplier_are_a_claim_of_their_own(rng):
    """The mixture gains at 100 times the best λ alone, and takes back three quarters of ridge's loss of 2."""
    table = made_up(rng, around={"ridge": np.array([3, 2, 1, 2, 3.0]), "mixture": np.array([4, 2.5, 1, 2.5, 1.5])})
    claims = [each for each in verdicts.claims_of([table], None) if each.claim.startswith("where λ is ")]
    told = {each.setting.split()[1]: (each.claim.split(" the best")[0], each.verdict) for each in claims}
    assert told == {
        "0.1": ("where λ is not", Verdict.NOT_UNDER_PROTOCOL),
        "10": ("where λ is not", Verdict.NOT_UNDER_PROTOCOL),
        "0.01": ("where λ is far from", Verdict.NOT_UNDER_PROTOCOL),
        "100": ("where λ is far from", Verdict.REPRODUCED),
    }
    row = next(row for row in table.numbers()["around"] if row["factor"] == 100)
    assert row["mixture_minus_ridge_percent"] == pytest.approx(-150, abs=0.5)
    assert row["part_taken_back"] == pytest.approx(0.75, abs=0.01)


def test_what_is_surely_better_is_said_to_help(rng):
    """Splits made up: one-step mixtures 2 % lower than ridge, gradient flow 3 % higher, the others alike."""
    shift = {"one-step mixture": -0.02, "gradient flow": 0.03}
    table = made_up(rng, shift)
    assert results.differing(table, "loo") == (["one-step mixture"], ["gradient flow"])
    assert table.difference("loo", "one-step mixture").mean == pytest.approx(-2, abs=0.1)  # per cent
    told = results.Result(presets.Config(), [table], [], None).where_it_helps()
    assert told == [
        "distillation is surely better than tuned ridge, all tuned by leave-one-out: made (one-step mixture)"
    ]
    told = results.Result(presets.Config(), [made_up(rng, {"iterated Tikhonov": -0.02})], [], None).where_it_helps()
    assert told == ["distillation is not seen to help beside tuned ridge, all tuned by leave-one-out: made"]


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [(-102.4, 77.1, "-102 ± 77 %"), (264.0, 129.4, "+264 ± 129 %"), (99.4, 0.051, "+99 ± 0.051 %"), (0, 0, "+0 ± 0 %")],
)
def test_percentages_have_no_exponent(mean, error, text):
    assert verdicts.told(resampling.Tested(mean, error, 0.5, 0.5)) == text


def test_tables_without_a_file_are_named(hilbertsd, folder, tmp_path):
    found, left_out = data.load_tables(None, 200, 0)
    assert [table.name for table in found] == ["diabetes", "digits"]
    assert left_out == ["Air Quality", "Airfoil"]
    assert all(len(table.targets) == 200 for table in found)
    (tmp_path / "some").mkdir()
    (tmp_path / "some/airfoil_self_noise.dat").write_bytes((folder / "airfoil_self_noise.dat").read_bytes())
    found, left_out = data.load_tables(tmp_path / "some", 200, 0)
    assert [table.name for table in found] == ["diabetes", "digits", "Airfoil"]
    assert left_out == ["Air Quality"]
    without_files = results.Result(presets.Config(), [], left_out, None).headline()
    assert without_files == ["left out, because --data names no folder with it: Air Quality (AirQualityUCI.csv)"]
    assert results.Result(presets.Config(), [], [], None).headline() == []
    (tmp_path / "none").mkdir()
    assert "neither" in one_line(*hilbertsd("run", "tables", "--preset", "smoke", "--data", tmp_path / "none"))
    with pytest.raises(InvalidFile, match=r"has neither AirQualityUCI\.csv nor airfoil_self_noise\.dat; give a folder"):
        data.load_tables(tmp_path / "none", 200, 0)
