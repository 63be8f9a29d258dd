"""Plausible names for the listings that nobody knows: enough of them, all different."""

from collections.abc import Iterator
from itertools import product


def _list(words: str, between: str | None = None) -> list[str]:
    return [word.strip() for word in words.split(between)]


_FIRST = _list("""
    한빛 대성 동양 서원 미래 새한 유일 태평 광명 신흥 우진 삼호 경인 청우 남성 세종 한울 정우 보령
    대원 성진 동해 금성 화신 국제 영풍 제일 삼영 태양 조광 원일 덕산 인화 용산 가온 나래 다온 라온
    마루 바른 사람 아라 자연 찬솔 하늘 누리 온누리 이룸 해솔 푸른
""")
_STYLE = ("", "에스", "케이", "이엔", "디앤", "유니", "코어")

_LAST: dict[str, tuple[str, ...]] = {
    "food": ("식품", "제과", "사료", "수산", "에프앤비"),
    "textile": ("방직", "섬유", "어패럴", "모직"),
    "paper": ("제지", "페이퍼", "목재"),
    "chemical": ("화학", "케미칼", "정밀화학", "머티리얼즈"),
    "drug": ("제약", "바이오", "파마", "테라퓨틱스"),
    "mineral": ("시멘트", "세라믹", "글라스"),
    "metal": ("철강", "금속", "스틸", "특수강"),
    "machine": ("기계", "중공업", "엔지니어링", "시스템즈"),
    "electric": ("전자", "반도체", "일렉트릭", "디스플레이", "테크"),
    "medical": ("메디칼", "정밀", "옵틱스"),
    "vehicle": ("모터스", "오토", "부품", "조선"),
    "trade": ("상사", "유통", "리테일", "물산"),
    "energy": ("에너지", "도시가스", "파워"),
    "construction": ("건설", "산업개발", "이앤씨"),
    "transport": ("해운", "물류", "항공", "택배"),
    "telecom": ("텔레콤", "통신", "네트웍스"),
    "finance": ("금융지주", "캐피탈", "홀딩스", "인베스트"),
    "securities": ("증권",),
    "insurance": ("화재", "생명"),
    "service": ("에듀", "서비스", "플랫폼", "컨설팅"),
    "property": ("부동산", "리얼티"),
    "software": ("소프트", "데이타", "정보기술", "클라우드", "게임즈"),
    "leisure": ("엔터", "미디어", "리조트", "픽쳐스"),
    "publishing": ("출판", "북스", "미디어프린트"),
    "other": ("산업", "퍼니처", "토이즈"),
    "reit": ("위탁관리리츠", "오피스리츠"),
    "fund": ("인프라",),
    "spac": ("스팩",),
}

_BRANDS = (
    "KODEX",
    "TIGER",
    "ACE",
    "RISE",
    "SOL",
    "PLUS",
    "HANARO",
    "KIWOOM",
    "TIMEFOLIO",
    "KoAct",
    "1Q",
    "WON",
)
_THEMES = _list("""
    AI반도체핵심장비 K-방산 조선TOP3플러스 원자력 미국빅테크TOP7 미국30년국채 미국달러SOFR금리
    인도니프티50 일본니케이225 차이나CSI300 차이나항셍테크 베트남VN30 유로스탁스50 글로벌리츠
    미국배당귀족 배당성장 코리아밸류업 코스피100 코스닥글로벌 금융고배당 은행 증권 보험 건설
    철강소재 에너지화학 헬스케어 바이오TOP10 K-푸드 화장품 게임 미디어컨텐츠 여행레저 자동차
    수소경제 친환경발전 전력설비 로봇 우주항공 사이버보안 클라우드 반도체소부장 국고채3년 국고채10년
    국고채30년 종합채권 회사채AA- 머니마켓 단기통안채 구리실물 은선물 콩선물 원유선물 천연가스선물
    필라델피아AI 미국테크100 미국부동산 TDF2045
""")
_VARIANTS = ("", "액티브", "TR", "(H)", "레버리지", "인버스", "커버드콜", "채권혼합")
_ISSUERS = ("삼성", "신한", "미래에셋", "KB", "NH", "한투", "키움", "메리츠")
_BETS = ("", "레버리지 ", "인버스 ", "인버스 2X ")
_UNDERLYINGS = _list(
    """
    WTI원유 선물;천연가스 선물;구리 선물;은 선물;금 선물;옥수수 선물;대두 선물;코스피 200 선물;
    코스닥 150 선물;미국달러 선물;엔화 선물;유로 선물;S&P500;나스닥 100;다우존스;항셍테크;니케이 225;
    국채 10년
""",
    ";",
)


def company(trade: str) -> Iterator[str]:
    """Company names of one trade, the plainest first."""
    for style, last, first in product(_STYLE, _LAST[trade], _FIRST):
        yield f"{first}{style}{last}"


def preferred_names(common: str) -> Iterator[str]:
    """What the preferred stocks of a company are called."""
    yield from (f"{common}우", f"{common}2우B", f"{common}3우B")


def spac() -> Iterator[str]:
    for series, issuer in product(range(8, 30), _ISSUERS):
        yield f"{issuer}{series}호스팩"


def etf() -> Iterator[str]:
    for variant, theme, brand in product(_VARIANTS, _THEMES, _BRANDS):
        yield f"{brand} {theme}{variant}"


def etn() -> Iterator[str]:
    for hedged, underlying, bet, issuer in product(("", "(H)"), _UNDERLYINGS, _BETS, _ISSUERS):
        yield f"{issuer} {bet}{underlying} ETN{hedged}"
