import numpy as np

from kerasapps.data import posts
from kerasapps.data.posts import AGES, INCOME_GROUPS, POSTS, bayes_estimates, simulate_people


def test_a_seed_decides_everything():
    one, two, other = (simulate_people(20, seed=seed) for seed in (1, 1, 2))
    assert one.texts == two.texts
    np.testing.assert_array_equal(one.age, two.age)
    assert one.texts != other.texts


def test_what_is_counted_is_what_is_written():
    people = simulate_people(30, seed=3)
    words = [word for topic in posts.TOPICS.values() for word in topic.split()]
    assert len(set(words)) == len(words)
    assert not set(words) & set(posts.PHRASES.split()) | set(words) & set(posts.COMMON.split())
    for i, text in enumerate(people.texts):
        written = text.split(posts.END_OF_POST)[:POSTS]
        for post, line in enumerate(written):
            said = line.split()
            assert posts.FEWEST_WORDS <= len(said) <= posts.MOST_WORDS
            counts = [said.count(word) for word in words]
            np.testing.assert_array_equal(people.topic_words[i, post], counts)
        said = text.replace(posts.END_OF_POST, " ").split()
        np.testing.assert_array_equal(people.phrases[i], [said.count(word) for word in posts.PHRASES.split()])


def test_the_best_guess_follows_bayes_rule_word_by_word():
    people = simulate_people(3, seed=4)
    world = posts._world()
    words = [word for topic in posts.TOPICS.values() for word in topic.split()]
    phrases = posts.PHRASES.split()
    best = bayes_estimates(people)
    for i, text in enumerate(people.texts):
        likely = np.log(world.prior)
        for line in text.split(posts.END_OF_POST)[:POSTS]:
            by_topic = np.log(world.topics)  # (S, K)
            for word in line.split():
                if word in words:
                    by_topic = by_topic + np.log(world.topic_words[:, words.index(word)])
                elif word in phrases:
                    likely = likely + np.log(world.phrases[:, phrases.index(word)])
            likely = likely + np.log(np.exp(by_topic).sum(1))
        posterior = np.exp(likely - likely.max())
        posterior /= posterior.sum()
        by_age = [posterior[world.age == age].sum() for age in AGES]
        assert best["age"][i] == AGES[np.searchsorted(np.cumsum(by_age), 0.5)]
        by_income = [posterior[world.income == group].sum() for group in range(INCOME_GROUPS)]
        assert best["income"][i] == np.argmax(by_income)
        np.testing.assert_allclose(best["gender"][i], posterior[world.gender == 1].sum(), atol=1e-6)


def test_the_best_guesses_are_calibrated():
    people = simulate_people(4000, seed=5)
    best = bayes_estimates(people)
    sure = best["gender"] > 0.9
    assert sure.sum() > 300
    assert abs(people.gender[sure].mean() - best["gender"][sure].mean()) < 0.03
    assert np.abs(best["age"] - people.age).mean() < 0.5 * np.abs(people.age - 47.5).mean()
