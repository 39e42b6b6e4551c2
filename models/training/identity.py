"""Names, firm codes and resident ids of a city that does not exist.

Area code 330190 is assigned to no county, so none of the codes can belong to a real firm or person.
"""

from datetime import date, timedelta

import numpy as np

AREA = "330190"
CODE_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
RESIDENT_CHECKS = "10X98765432"
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华建国文志海波玉梅红玲俊峰宇浩子轩雨晨思远佳怡欣瑞凯博雅婷雪琳悦航旭东鹏程立新永康家豪天宁晓彤春燕秋实若溪清扬嘉木安然"
BRANDS = "瑞恒盛达鑫诚宏远博益德泰嘉禾锦程安信汇丰联创星辰启航新元同济和顺万通金石天合源林川海云峰"
STREETS = ("滨江路", "学院路", "解放大道", "人民路", "工业一路", "科创大道", "望湖路", "东风路", "港口路", "文昌街")
DISTRICTS = ("东港区", "西岭区", "南浦区", "北川区", "高新区")
# Industry section of GB/T 4754 -> what firms of it put in their names.
INDUSTRIES = {
    "制造业": ("精密机械", "电子", "纺织", "塑胶", "五金制品"),
    "批发和零售业": ("商贸", "贸易", "百货", "供应链"),
    "建筑业": ("建筑工程", "装饰工程", "市政工程"),
    "交通运输、仓储和邮政业": ("物流", "货运", "仓储"),
    "信息传输、软件和信息技术服务业": ("信息技术", "软件", "网络科技"),
    "住宿和餐饮业": ("餐饮管理", "酒店管理"),
    "科学研究和技术服务业": ("检测技术", "生物科技", "工程设计"),
    "农、林、牧、渔业": ("农业发展", "水产", "园艺"),
}


def organisation_check(body: str) -> str:
    """Check character of the 8-character organisation code (GB 11714-1997, MOD 11-10 with X for 10)."""
    values = [int(c) if c.isdigit() else ord(c) - ord("A") + 10 for c in body]
    check = 11 - sum(v * w for v, w in zip(values, ORGANISATION_WEIGHTS)) % 11
    return {10: "X", 11: "0"}.get(check, str(check))


def firm_code(rng) -> str:
    """A unified social credit code (GB 32100-2015): registry, kind, area, organisation code, check character."""
    digits = "".join(str(d) for d in rng.integers(0, 10, 6))
    body = "MA" + digits
    code = "91" + AREA + body + organisation_check(body)
    total = sum(CODE_ALPHABET.index(c) * pow(3, i, 31) for i, c in enumerate(code))
    return code + CODE_ALPHABET[(31 - total % 31) % 31]


def resident_id(rng, as_of: date) -> str:
    """A resident id (GB 11643-1999) of somebody between 20 and 69 years old on `as_of`."""
    born = as_of - timedelta(days=int(rng.integers(20 * 366, 69 * 365)))
    body = f"{AREA}{born:%Y%m%d}{int(rng.integers(1, 1000)):03d}"
    total = sum(int(c) * w for c, w in zip(body, RESIDENT_WEIGHTS))
    return body + RESIDENT_CHECKS[total % 11]


def person_name(rng) -> str:
    given = int(rng.integers(1, 3))
    return SURNAMES[rng.integers(len(SURNAMES))] + "".join(GIVEN[i] for i in rng.integers(0, len(GIVEN), given))


def firm_name(rng, industry: str) -> str:
    words = INDUSTRIES[industry]
    brand = "".join(BRANDS[i] for i in rng.choice(len(BRANDS), 2, replace=False))
    return f"云海{brand}{words[rng.integers(len(words))]}有限公司"


def address(rng) -> str:
    district, street = DISTRICTS[rng.integers(len(DISTRICTS))], STREETS[rng.integers(len(STREETS))]
    return f"云海市{district}{street}{int(rng.integers(1, 900))}号"


def unique(make, taken: set) -> str:
    """Calls `make` until it gives something that is not in `taken`, and adds it there."""
    while True:
        value = make()
        if value not in taken:
            taken.add(value)
            return value


FIELDS = ("firm_code", "name", "legal_representative_name", "legal_representative_resident_id", "address", "industry",
          "established_on", "status", "banned")


def register(seed: int, city) -> dict:
    """Basic information of each firm of a `simulation.City`: `field -> list of texts`. Not a model input. The firms of
    a ring share legal representative and address, and nothing says that they are one."""
    rng = np.random.default_rng(seed)
    codes, names, people, rings = set(), set(), [], {}
    rows = {field: [] for field in FIELDS}
    industries = tuple(INDUSTRIES)
    for firm in range(len(city)):
        industry = industries[city.industry[firm]]
        person, place = leader(rng, people, city.as_of), address(rng)
        if city.ring[firm]:
            person, place = rings.setdefault(int(city.ring[firm]), (person, place))
        registered = city.sources["business_registration"]["registered_on"].values[firm]
        row = (
            unique(lambda: firm_code(rng), codes), unique(lambda: firm_name(rng, industry), names), *person, place,
            industry, established_on(rng, int(registered)), "revoked" if rng.random() < 0.01 else "active",
            1 if rng.random() < 0.005 else 0)
        for field, cell in zip(FIELDS, row):
            rows[field].append(cell)
    return rows


def leader(rng, people: list, as_of: date) -> tuple:
    """A name and a resident id; a few people lead more than one firm."""
    if people and rng.random() < 0.03:
        return people[rng.integers(len(people))]
    people.append((person_name(rng), resident_id(rng, as_of)))
    return people[-1]


def established_on(rng, registered: int) -> str:
    """The day of registration; now and then the two sources name different days."""
    day = date(1970, 1, 1) + timedelta(days=registered)
    return (day - timedelta(days=int(rng.integers(1, 60)))).isoformat() if rng.random() < 0.02 else day.isoformat()
