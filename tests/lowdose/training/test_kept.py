import numpy as np

from lowdose.training.kept import Kept


def test_what_fits_is_made_once_and_the_rest_each_time():
    made = []

    def make(number):
        made.append(number)
        return np.full(10, number, np.uint8)

    kept = Kept(make, lambda item: item.nbytes, memory=25)
    for _ in range(3):
        for number in range(3):
            assert kept[number][0] == number
    assert made == [0, 1, 2, 2, 2]
